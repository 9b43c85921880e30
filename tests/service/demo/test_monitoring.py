"""Who watches the demo, and what it does without them."""

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dashboards.alert import DASHBOARDS_URL, SERVICE_JOB
from dashboards.alertmanager import WEBHOOK_URL
from service.demo import monitoring
from service.demo.addresses import AddressError, Addresses, WatchAddresses
from service.demo.monitoring import Monitoring

HAS_BOTH = shutil.which("prometheus") and (
    shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
)


@pytest.fixture
def watchers(environment: dict[str, str]) -> Iterator[Callable[[], Monitoring]]:
    """Starts them with the PATH as it is."""
    addresses = Addresses.from_environment(environment)
    with ExitStack() as parts:

        def start() -> Monitoring:
            found = Monitoring(addresses.ops, WatchAddresses.beside(addresses, environment))
            found.start(parts, Path(environment["TMPDIR"]))
            return found

        yield start


def test_what_the_demo_replaces_is_what_the_committed_files_have() -> None:
    assert monitoring.DASHBOARDS_URL == DASHBOARDS_URL
    assert monitoring.WEBHOOK_URL == WEBHOOK_URL
    assert monitoring.JOB == SERVICE_JOB


def test_what_is_not_a_port_is_named() -> None:
    with pytest.raises(AddressError, match="PROMETHEUS_PORT=http is not a port"):
        WatchAddresses.beside(Addresses.from_environment({}), {"PROMETHEUS_PORT": "http"})


def test_a_taken_port_is_replaced_by_a_free_one_and_no_two_share_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        environment = {
            "PROMETHEUS_PORT": str(taken),
            "PREVIEW_PORT": "8000",
            "WEBHOOK_PORT": "8101",
        }

        addresses = Addresses.from_environment(environment)
        found = WatchAddresses.beside(addresses, environment)

    assert found.prometheus.instead_of == taken
    assert (found.preview.instead_of, found.webhook.instead_of) == (8000, 8101)
    places = (*addresses, found.preview, found.prometheus, found.alertmanager, found.webhook)
    assert len({place.port for place in places} | {taken}) == 9


def test_without_prometheus_the_demo_says_how_to_get_it_and_goes_on(
    watchers: Callable[[], Monitoring],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "")

    found = watchers()

    assert "apt-get install prometheus prometheus-alertmanager" in capsys.readouterr().out
    assert set(found.running) == {found.places.preview}


def test_outside_of_a_checkout_they_are_left_out_with_one_line(
    watchers: Callable[[], Monitoring],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(monitoring, "_GENERATED", tmp_path / "not here")

    found = watchers()

    assert len(capsys.readouterr().out.splitlines()) == 1
    assert not found.running


def test_one_that_cannot_start_is_missed_by_nobody(
    watchers: Callable[[], Monitoring],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\necho this is the log\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = watchers()
    found.running[found.places.prometheus].wait(30)
    found.tell_who_ended()
    found.tell_who_ended()

    said = re.findall(
        r"Prometheus ended by itself, the demo goes on; its log: (.+)", capsys.readouterr().out
    )
    assert [Path(log).read_text() for log in said] == ["this is the log\n"]
    assert found.places.prometheus not in found.running
