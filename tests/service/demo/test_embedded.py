"""PostgreSQL and Valkey from wheels: started, killed, suspended, and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis import Redis

from service.demo.embedded import (
    EmbeddedPostgres,
    EmbeddedServer,
    EmbeddedValkey,
    ServerError,
    short_temp_folder,
)
from service.demo.ports import free_port
from service.demo.processes import end, launch, unprivileged_owner

ORPHANING = """
import os, signal, sys
from pathlib import Path
from service.demo.embedded import EmbeddedPostgres, EmbeddedValkey
servers = EmbeddedPostgres(Path(sys.argv[1]) / "pg"), EmbeddedValkey(Path(sys.argv[1]) / "valkey")
for server in servers:
    server.start()
print(*(server.pid for server in servers), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_temp_folder() as folder:
        yield folder


@pytest.fixture(params=["pg", "valkey"])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    kinds: dict[str, type[EmbeddedServer]] = {"pg": EmbeddedPostgres, "valkey": EmbeddedValkey}
    with kinds[request.param](folder / request.param) as server:
        yield server


def test_a_server_that_cannot_start_says_what_it_logged(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = EmbeddedValkey(folder / "valkey", port=other.getsockname()[1])

        with pytest.raises(ServerError, match=r"(?s)exit code 1.*Address already in use"):
            server.start()

    with pytest.raises(ServerError, match="not running"):
        _ = server.pid


def test_a_killed_initdb_leaves_nothing_that_passes_for_a_cluster(folder: Path) -> None:
    (folder / "torso").mkdir()
    (folder / "torso" / "new-killed").mkdir()

    with EmbeddedPostgres(folder / "torso") as postgres:
        assert postgres.is_ready()


def test_a_killed_server_starts_again(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    assert server.process is not None
    server.process.wait(10)

    server.start()

    assert server.is_ready()


def test_a_number_in_a_stale_pid_file_that_others_have_now_does_not_matter(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg") as postgres:
        old_lines = (folder / "pg" / "data" / "postmaster.pid").read_text().splitlines()
    stranger = launch(["/bin/sleep", "60"], environment={}, owner=unprivileged_owner())
    try:
        lines = [str(stranger.pid), *old_lines[1:]]
        (folder / "pg" / "data" / "postmaster.pid").write_text("\n".join(lines))

        with postgres:
            assert postgres.is_ready()
    finally:
        end(stranger, graceful=signal.SIGTERM, grace_seconds=5)


def test_a_suspended_server_can_be_stopped(server: EmbeddedServer) -> None:
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)

    server.stop()

    assert not Path(f"/proc/{pid}").exists()


def test_stopping_and_starting_again_is_the_same_server(server: EmbeddedServer) -> None:
    before = server.pid

    server.stop()
    server.stop()
    assert not server.is_ready()
    server.start()
    server.start()

    assert server.is_ready()
    assert server.pid != before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_servers_end_with_their_parent_and_can_be_started_by_the_next(folder: Path) -> None:
    orphaned = subprocess.run(
        [sys.executable, "-c", ORPHANING, str(folder)], stdout=subprocess.PIPE, check=False
    )

    assert orphaned.returncode == -signal.SIGKILL
    with EmbeddedPostgres(folder / "pg"), EmbeddedValkey(folder / "valkey"):
        _await_end_of(map(int, orphaned.stdout.split()))


async def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg") as postgres:
        await _execute(postgres.dsn, "CREATE TABLE kept AS SELECT 7 AS number")
        postgres.stop()
        postgres.start()

        assert await _execute(postgres.dsn, "SELECT number FROM kept") == 7


async def test_with_a_port_postgres_listens_on_this_machine_too(folder: Path) -> None:
    port = free_port()

    with EmbeddedPostgres(folder / "pg", port) as postgres:
        for dsn in (postgres.dsn, f"postgresql://postgres@127.0.0.1:{port}/postgres"):
            assert str(await _execute(dsn, "SHOW server_version")).startswith("18.")


def test_valkey_answers_on_its_socket_and_only_there_without_a_port(valkey: EmbeddedValkey) -> None:
    with Redis.from_url(valkey.url) as client:
        assert client.config_get("port") == {"port": "0"}


def test_with_a_port_valkey_listens_on_this_machine_too(folder: Path) -> None:
    port = free_port()

    with (
        EmbeddedValkey(folder / "valkey", port),
        Redis.from_url(f"redis://127.0.0.1:{port}") as client,
    ):
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}


def test_postgres_never_runs_as_root(postgres: EmbeddedPostgres) -> None:
    uid = Path(f"/proc/{postgres.pid}").stat().st_uid

    assert uid == (os.geteuid() or 65534)


async def test_every_test_gets_a_database_of_its_own_with_all_products(database_url: str) -> None:
    assert await _execute(database_url, "SELECT count(*) FROM products") == 10_000


def test_every_test_gets_an_empty_valkey(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


async def _execute(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _await_end_of(pids: Iterator[int]) -> None:
    deadline = time.monotonic() + 10
    for pid in pids:
        while Path(f"/proc/{pid}/exe").exists():
            assert time.monotonic() < deadline, f"{pid} still runs"
            time.sleep(0.02)
