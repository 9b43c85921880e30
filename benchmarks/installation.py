"""The peers' own dependencies, installed on first use and again when a lock file changed."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PYTHON_PEERS = HERE / ".venv"
EXPRESS = HERE / "peers" / "express_app"


def peer_program(name: str) -> str:
    """A program of the Python peers' environment, installed if need be."""
    lock = HERE / "requirements.lock"
    if not _is_current(PYTHON_PEERS, lock):
        print("Installing the Python peers into benchmarks/.venv, once.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PYTHON_PEERS], check=True)
        pip = [str(PYTHON_PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", "--require-hashes", "--requirement", str(lock)]
        subprocess.run([*pip, *options], check=True)
        _mark_current(PYTHON_PEERS, lock)
    return str(PYTHON_PEERS / "bin" / name)


def node_program() -> str | None:
    """Node, with Express and its companions installed; None where there is no Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    lock, modules = EXPRESS / "package-lock.json", EXPRESS / "node_modules"
    if not _is_current(modules, lock):
        print("Installing Express into benchmarks/peers/express_app, once.", flush=True)
        options = ["--omit=dev", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([npm, "ci", *options], cwd=EXPRESS, check=True)
        _mark_current(modules, lock)
    return node


def _is_current(folder: Path, lock: Path) -> bool:
    mark = folder / "installed"
    return mark.is_file() and mark.read_text() == _digest(lock)


def _mark_current(folder: Path, lock: Path) -> None:
    (folder / "installed").write_text(_digest(lock))


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()
