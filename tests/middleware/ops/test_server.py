"""The port opens, closes, and is missed without harm."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading

import pytest
import structlog
from structlog.testing import capture_logs

from middleware.health import Health
from middleware.ops import OpsServer, Shown
from middleware.settings import Settings

from .asking import Answer, ops_port


def server_at(port: int, host: str = "127.0.0.1") -> OpsServer:
    """Not started yet."""
    return OpsServer(Settings(ops_host=host, ops_port=port), Shown([], Health()))


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def _plain_structlog() -> None:
    structlog.reset_defaults()


def test_a_port_that_is_taken_is_missed_with_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as lines:
        port = taken.getsockname()[1]

        with server_at(port) as server:
            assert server.address is None

    (line,) = lines
    assert (line["event"], line["log_level"]) == ("ops_port_unavailable", "warning")
    assert (line["host"], line["port"]) == ("127.0.0.1", port)
    assert "OPS_PORT" in line["remedy"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_missed_with_a_warning(host: str) -> None:
    with capture_logs() as lines, server_at(0, host) as server:
        assert server.address is None

    assert [line["event"] for line in lines] == ["ops_port_unavailable"]


def test_a_listener_that_is_closed_is_missed_with_a_warning() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.close()

    with capture_logs() as lines, OpsServer(Settings(), Shown([], Health()), listener) as server:
        assert server.address is None

    assert [line["event"] for line in lines] == ["ops_port_unavailable"]


def test_a_listener_that_is_given_is_served_and_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    with OpsServer(Settings(ops_port=1), Shown([], Health()), listener) as server:
        assert server.address == ("127.0.0.1", port)
        assert Answer(port, "/livez").status == 200

    assert listener.fileno() == -1


def test_it_speaks_ipv6_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")

    with server_at(0, "::1") as server:
        assert server.address is not None
        with socket.create_connection(server.address, timeout=20) as client:
            client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_leaving_closes_the_port_and_ends_the_thread() -> None:
    before = threading.active_count()
    with ops_port() as port:
        assert Answer(port, "/livez").status == 200

    with pytest.raises(ConnectionRefusedError):
        Answer(port, "/livez")
    assert threading.active_count() == before


def test_leaving_does_not_wait_for_a_client_that_lingers() -> None:
    with ops_port() as port:
        lingering = socket.create_connection(("127.0.0.1", port))
        lingering.sendall(b"GET /livez HTTP/1.1\r\n")
        assert Answer(port, "/livez").status == 200

    with lingering:
        lingering.settimeout(20)
        assert lingering.recv(1) == b""


def test_the_port_is_free_again_at_once() -> None:
    with ops_port() as port:
        assert Answer(port, "/livez").status == 200

    with server_at(port) as server:
        assert server.address == ("127.0.0.1", port)


def own_threads() -> list[str]:
    """All but those that asyncio keeps for whoever calls `to_thread` next."""
    names = (thread.name for thread in threading.enumerate())
    return sorted(name for name in names if not name.startswith("asyncio_"))


async def test_starting_and_stopping_50_times_leaves_nothing_behind() -> None:
    with ops_port() as port:
        await asyncio.to_thread(Answer, port, "/readyz")
    before = own_threads(), open_descriptors(), len(asyncio.all_tasks())

    for _ in range(50):
        with ops_port() as port:
            await asyncio.to_thread(Answer, port, "/metrics")

    assert (own_threads(), open_descriptors(), len(asyncio.all_tasks())) == before


def test_stopping_at_once_is_fine() -> None:
    before = threading.active_count()

    for _ in range(20):
        with ops_port():
            pass

    assert threading.active_count() == before


def test_the_process_keeps_its_signals_and_its_logging(caplog: pytest.LogCaptureFixture) -> None:
    access, error = logging.getLogger("uvicorn.access"), logging.getLogger("uvicorn.error")
    caplog.set_level(logging.INFO)
    before = _signals(), access.propagate, access.handlers[:], error.level

    with ops_port() as port:
        during = _signals(), access.propagate, access.handlers[:], error.level
        Answer(port, "/livez")

    assert during == before
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def _signals() -> list[object]:
    return [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
