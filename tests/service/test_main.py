"""The command says what is wrong in one message, and what to do about it."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.__main__ import main
from service.demo.embedded import EmbeddedPostgres
from service.demo.ports import free_port
from tests.service.command import command, environment_of, run


@pytest.fixture
def nowhere() -> dict[str, str]:
    """Settings that are fine, for a world that is not there."""
    return {
        "DATABASE_URL": f"postgresql://admin:hunter2@127.0.0.1:{free_port()}/products",
        "REVIEWS__URL": "http://127.0.0.1:9",
        "INVENTORY__URL": "http://127.0.0.1:9",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "OPS_PORT": str(free_port()),
        "STARTUP_TIMEOUT_SECONDS": "0.5",
    }


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def _assert_one_message(stderr: str) -> None:
    assert stderr.startswith("stallscope: ")
    assert "Traceback" not in stderr
    assert "hunter2" not in stderr


@pytest.mark.covers_processes
@pytest.mark.parametrize("name", ["serve", "migrate"])
def test_unusable_settings_end_it_with_2_and_one_message(name: str, tmp_path: Path) -> None:
    ended = run(name, folder=tmp_path, DATABASE_URL="mysql://admin:hunter2@127.0.0.1")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "DATABASE_URL: " in ended.stderr
    assert ("REVIEWS__URL: is missing" in ended.stderr) == (name == "serve")
    _assert_one_message(ended.stderr)


@pytest.mark.covers_processes
@pytest.mark.parametrize("name", ["PORT", "OPS_PORT"])
def test_a_taken_port_ends_it_with_1_and_the_way_to_choose_another(
    name: str, taken_port: int, nowhere: dict[str, str], tmp_path: Path
) -> None:
    ended = run("serve", folder=tmp_path, **{**nowhere, name: str(taken_port)})

    assert ended.returncode == 1
    assert str(taken_port) in ended.stderr
    assert f"{name}={taken_port + 1}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    _assert_one_message(ended.stderr)


@pytest.mark.parametrize("host", ["192.0.2.1", "host.invalid"])
def test_a_host_that_is_not_ours_ends_it_with_1(
    host: str, nowhere: dict[str, str], tmp_path: Path
) -> None:
    ended = run("serve", folder=tmp_path, **{**nowhere, "HOST": host})

    assert ended.returncode == 1
    assert host in ended.stderr
    _assert_one_message(ended.stderr)


@pytest.mark.covers_processes
def test_an_unreachable_database_ends_it_with_1_within_the_startup_timeout(
    nowhere: dict[str, str], tmp_path: Path
) -> None:
    ended = run("serve", folder=tmp_path, **nowhere)

    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr
    assert "STARTUP_TIMEOUT_SECONDS" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stdout
    assert "hunter2" not in ended.stdout
    _assert_one_message(ended.stderr)


def test_a_database_that_accepts_and_is_silent_ends_it_too(
    nowhere: dict[str, str], taken_port: int, tmp_path: Path
) -> None:
    silent = {"DATABASE_URL": f"postgresql://127.0.0.1:{taken_port}/products"}

    ended = run("serve", folder=tmp_path, **{**nowhere, **silent})

    assert ended.returncode == 1
    _assert_one_message(ended.stderr)


@pytest.mark.parametrize(
    "url", ["postgresql://admin:hunter2@127.0.0.1:none/x", "postgresql://127.0.0.1:99999/x"]
)
@pytest.mark.parametrize("name", ["serve", "migrate"])
def test_a_database_url_that_nobody_can_read_ends_it_with_one_message(
    name: str, url: str, nowhere: dict[str, str], tmp_path: Path
) -> None:
    ended = run(name, folder=tmp_path, **{**nowhere, "DATABASE_URL": url})

    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stdout
    _assert_one_message(ended.stderr)


def test_a_redis_url_that_nobody_can_read_ends_it_with_one_message(
    nowhere: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    changed = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:none"}

    ended = run("serve", folder=tmp_path, **{**nowhere, **changed})

    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stdout
    _assert_one_message(ended.stderr)


def test_a_database_that_does_not_exist_is_refused_at_once(
    nowhere: dict[str, str], postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    postgres.start()
    changed = {"DATABASE_URL": postgres.dsn_of("nothing"), "STARTUP_TIMEOUT_SECONDS": "3600"}

    ended = run("serve", folder=tmp_path, **{**nowhere, **changed})

    assert ended.returncode == 1
    assert "nothing" in ended.stderr
    _assert_one_message(ended.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_for_the_database_ends_it_without_a_traceback(
    number: signal.Signals, nowhere: dict[str, str], tmp_path: Path
) -> None:
    patient = environment_of(**{**nowhere, "STARTUP_TIMEOUT_SECONDS": "3600"})
    output = tmp_path / "output"
    with (
        output.open("wb") as written,
        subprocess.Popen(
            command("serve"), env=patient, cwd=tmp_path, stdout=written, stderr=written
        ) as process,
    ):
        _await_text(output, "database_awaited")
        process.send_signal(number)
        process.wait(30)

    assert "Traceback" not in output.read_text()


@pytest.mark.covers_processes
def test_migrate_says_when_the_database_is_unreachable(
    nowhere: dict[str, str], tmp_path: Path
) -> None:
    ended = run("migrate", folder=tmp_path, DATABASE_URL=nowhere["DATABASE_URL"])

    assert (ended.returncode, ended.stdout) == (1, "")
    _assert_one_message(ended.stderr)


@pytest.mark.covers_processes
def test_migrate_says_when_there_is_nothing_to_do(database_url: str, tmp_path: Path) -> None:
    ended = run("migrate", folder=tmp_path, DATABASE_URL=database_url)

    assert (ended.returncode, ended.stdout) == (0, "the schema is up to date\n")


def test_without_a_command_it_says_which_there_are(tmp_path: Path) -> None:
    ended = run(folder=tmp_path)

    assert ended.returncode == 2
    assert "usage: stallscope" in ended.stderr


@pytest.mark.parametrize("arguments", [["sing"], ["demo", "--duration", "long"], ["serve", "now"]])
def test_what_is_not_understood_ends_with_2_and_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: stallscope" in capsys.readouterr().err


def test_help_names_every_command(tmp_path: Path) -> None:
    ended = run("--help", folder=tmp_path)

    assert ended.returncode == 0
    for name in ("serve", "demo", "migrate", "openapi", "stand-in"):
        assert name in ended.stdout


def test_importing_the_contracts_costs_a_client_pydantic_and_nothing_else(tmp_path: Path) -> None:
    script = "import service.contracts, sys, json; print(json.dumps(sorted(sys.modules)))"

    printed = subprocess.run(
        [*command()[:1], "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert not {
        "fastapi",
        "starlette",
        "asyncpg",
        "redis",
        "aiohttp",
        "structlog",
        "uvicorn",
    } & set(json.loads(printed.stdout))


def _await_text(file: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.02)
