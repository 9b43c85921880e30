"""Ports are taken once, and a clash is said before anything starts."""

import socket

import pytest

from service.listeners import StartError
from service.workers.addresses import ops_ports, shared_listeners
from tests.integration.supervising import free_ops_port

HOST = "127.0.0.1"


def test_a_port_that_another_supervisor_shares_among_its_workers_is_refused() -> None:
    (theirs,) = shared_listeners(HOST, 0, 1)
    with theirs:
        theirs.listen()
        port = theirs.getsockname()[1]

        with pytest.raises(StartError, match=f"PORT={port + 1}"):
            shared_listeners(HOST, port, 2)


def test_a_taken_ops_port_is_refused() -> None:
    with socket.create_server((HOST, 0)) as theirs:
        taken = theirs.getsockname()[1]

        with pytest.raises(StartError, match=f"port {taken} .* OPS_PORT="):
            ops_ports(HOST, taken - 1, 1)


def test_ops_ports_beyond_the_last_port_are_refused() -> None:
    with pytest.raises(StartError, match="OPS_PORT=65530"):
        ops_ports(HOST, 65530, 3)


def test_all_listeners_have_the_one_port_that_was_free() -> None:
    listeners = shared_listeners(HOST, 0, 3)

    ports = {listener.getsockname()[1] for listener in listeners}
    for listener in listeners:
        listener.close()
    assert len(ports) == 1
    assert ports != {0}


def test_ops_ports_follow_the_supervisors_own() -> None:
    own = free_ops_port()

    assert ops_ports(HOST, own, 2) == [(own + 1, own + 3), (own + 2, own + 4)]


def test_any_free_ops_ports_are_all_different() -> None:
    ports = [port for pair in ops_ports(HOST, 0, 4) for port in pair]

    assert len(set(ports)) == 8
    assert 0 not in ports
