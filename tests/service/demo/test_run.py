"""`stallscope demo`: it starts, says what to do when it cannot, and leaves nothing behind."""

import os
import signal
import socket
import subprocess

import pytest

from service.demo.embedded import short_temp_folder
from tests.service.demo.conftest import environment_in
from tests.service.demo.running import await_none_left, get_json, left_running, run, started

pytestmark = pytest.mark.xdist_group("demo")


def test_a_taken_port_is_named_and_how_to_choose_another(environment: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run({**environment, "PORT": str(port)})

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
    ended = run({**environment, name: value})

    assert ended.returncode == 1
    assert f"{name}={value}" in ended.stderr


def test_a_service_that_ends_by_itself_ends_the_demo_with_1(environment: dict[str, str]) -> None:
    ended = run({**environment, "RATE_LIMIT": "nonsense"}, "--duration", "60")

    assert ended.returncode == 1
    assert "the service ended by itself, with exit code 2" in ended.stderr
    await_none_left(environment)


@pytest.mark.no_cover
def test_a_signal_during_the_very_first_start_does_the_next_one_no_harm() -> None:
    with short_temp_folder() as folder:
        environment = environment_in(folder)
        with started(environment, "Starting PostgreSQL") as demo:
            demo.process.send_signal(signal.SIGINT)
            assert demo.process.wait(60) == 0
        await_none_left(environment)

        with started(environment, "Stops by itself", "--duration", "1") as demo:
            assert demo.process.wait(60) == 0


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.no_cover)]
)
@pytest.mark.parametrize("step", ["Starting PostgreSQL", "Starting the service", "Ctrl-C"])
def test_a_signal_ends_everything_at_any_step(
    environment: dict[str, str], number: int, step: str
) -> None:
    with started(environment, step) as demo:
        demo.process.send_signal(number)
        assert demo.process.wait(60) == 0

    await_none_left(environment)


@pytest.mark.no_cover
def test_a_killed_demo_leaves_nothing_running(environment: dict[str, str]) -> None:
    with started(environment, "Ctrl-C") as demo:
        assert len(left_running(environment)) > 1
        demo.process.kill()
        demo.process.wait(10)

    await_none_left(environment)


@pytest.mark.no_cover
def test_a_second_signal_ends_it_at_once(environment: dict[str, str]) -> None:
    with started(environment, "Ctrl-C") as demo:
        # Suspended, the service does not hear that it should end.
        (service,) = left_running(environment, "service serve")
        demo.process.send_signal(signal.SIGINT)
        _suspend_until_told(service, demo.process)
        assert demo.process.wait(60) in {0, 130}

    await_none_left(environment)


@pytest.mark.covers_processes
def test_the_demo_serves_an_enriched_product_and_ends_after_its_time(
    environment: dict[str, str],
) -> None:
    with started(environment, "Stops by itself", "--duration", "5", "--no-traffic") as demo:
        product = get_json(environment["PORT"], "/v1/product/1/enriched")
        assert demo.process.wait(60) == 0

    assert product["id"] == 1
    assert {source["status"] for source in product["sources"].values()} == {"live"}
    await_none_left(environment)


def _suspend_until_told(service: int, demo: subprocess.Popen[bytes]) -> None:
    try:
        os.kill(service, signal.SIGSTOP)
    except ProcessLookupError:
        return
    demo.send_signal(signal.SIGINT)
