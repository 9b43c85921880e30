"""`stallscope demo`: it starts, says what to do when it cannot, and leaves nothing behind."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.demo.folders import free_port, short_temp_folder

MARK = "STALLSCOPE_DEMO_TEST"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    # A folder of its own: a demo that somebody runs meanwhile does not matter.
    with short_temp_folder() as folder:
        yield {
            **os.environ,
            MARK: str(folder),
            "TMPDIR": str(folder),
            "PORT": str(free_port()),
            "OPS_PORT": str(free_port()),
            "REVIEWS__URL": f"http://127.0.0.1:{free_port()}",
            "INVENTORY__URL": f"http://127.0.0.1:{free_port()}",
        }


def test_a_taken_port_is_named_and_how_to_choose_another(environment: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = _run({**environment, "PORT": str(port)})

    assert ended.returncode == 1
    assert f"127.0.0.1:{port}, for the API, is taken" in ended.stderr
    assert "PORT=" in ended.stderr
    assert "make demo" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("OPS_PORT", "70000"), ("REVIEWS__URL", "https://reviews.example")],
)
def test_an_address_that_cannot_be_is_named(
    environment: dict[str, str], name: str, value: str
) -> None:
    ended = _run({**environment, name: value})

    assert ended.returncode == 1
    assert f"{name}={value}" in ended.stderr


def test_a_service_that_ends_by_itself_ends_the_demo_with_1(environment: dict[str, str]) -> None:
    ended = _run({**environment, "RATE_LIMIT": "nonsense"}, "--duration", "60")

    assert ended.returncode == 1
    assert "the service ended by itself, with exit code 2" in ended.stderr
    _await_none_left(environment)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.no_cover)]
)
@pytest.mark.parametrize("step", ["Starting PostgreSQL", "Starting the service", "Ctrl-C"])
def test_a_signal_ends_everything_at_any_step(
    environment: dict[str, str], number: int, step: str
) -> None:
    with _started(environment, step) as demo:
        demo.send_signal(number)
        assert demo.wait(60) == 0

    _await_none_left(environment)


@pytest.mark.no_cover
def test_a_killed_demo_leaves_nothing_running(environment: dict[str, str]) -> None:
    with _started(environment, "Ctrl-C") as demo:
        assert len(_left_running(environment)) > 1
        demo.kill()
        demo.wait(10)

    _await_none_left(environment)


@pytest.mark.no_cover
def test_a_second_signal_ends_it_at_once(environment: dict[str, str]) -> None:
    with _started(environment, "Ctrl-C") as demo:
        # Suspended, the service does not hear that it should end.
        (service,) = _left_running(environment, "service serve")
        demo.send_signal(signal.SIGINT)
        _suspend_until_told(service, demo)
        assert demo.wait(60) in {0, 130}

    _await_none_left(environment)


def test_the_demo_serves_an_enriched_product_and_ends_after_its_time(
    environment: dict[str, str],
) -> None:
    with _started(environment, "Stops by itself", "--duration", "5", "--no-traffic") as demo:
        product = _get(environment, "/v1/product/1/enriched")
        assert demo.wait(60) == 0

    assert product["id"] == 1
    assert {source["status"] for source in product["sources"].values()} == {"live"}
    _await_none_left(environment)


def _suspend_until_told(service: int, demo: subprocess.Popen[str]) -> None:
    try:
        os.kill(service, signal.SIGSTOP)
    except ProcessLookupError:
        return
    demo.send_signal(signal.SIGINT)


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "service", "demo", *options]


def _run(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*options),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@contextmanager
def _started(
    environment: dict[str, str], step: str, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """A demo that has got as far as printing `step`."""
    with subprocess.Popen(
        _command(*options), env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            seen = ""
            while step not in seen:
                character = demo.stdout.read(1)
                assert character, f"ended before {step!r}: {seen}"
                seen += character
            yield demo
        finally:
            demo.kill()


def _get(environment: dict[str, str], path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(environment["PORT"]), timeout=10)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def _await_none_left(environment: dict[str, str]) -> None:
    # A child that was being launched ends itself, as soon as it finds its parent gone.
    deadline = time.monotonic() + 30
    while left := _left_running(environment):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _left_running(environment: dict[str, str], words: str = "") -> list[int]:
    """Processes of this demo: its Python children carry the mark, its servers the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = f"{MARK}={environment[MARK]}".encode() in variables or environment[MARK] in command
        if ours and command and words in command:
            found.append(int(process.name))
    return found
