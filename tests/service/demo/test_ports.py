"""Free ports: nobody else gets the same one."""

import socket
from pathlib import Path

import pytest

from service.demo import ports
from service.demo.ports import free_port

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_LOWEST = 32_768


def test_each_one_is_another_and_can_be_had() -> None:
    found = [free_port() for _ in range(50)]

    assert len(set(found)) == len(found)
    for port in found:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_one_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = free_port(), free_port()
    monkeypatch.setattr(ports, "_PORTS", [first, second])

    with socket.create_server(("127.0.0.1", first)):
        assert {free_port() for _ in range(4)} == {second}


@pytest.mark.skipif(not EPHEMERAL.exists(), reason="only Linux says which ports it gives away")
def test_no_outgoing_connection_takes_one_by_chance() -> None:
    lowest = int(EPHEMERAL.read_text().split()[0])
    if lowest < USUAL_LOWEST:
        pytest.skip("this machine gives away lower ports than Linux usually does")

    assert all(free_port() < lowest for _ in range(20))
