"""Where the demo's parts listen: the usual ports, or what the environment says instead."""

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from service.demo.answers import Kind
from service.demo.ports import free_port
from service.demo.stand_ins import DEFAULT_PORTS
from service.demo.webhook import DEFAULT_PORT as WEBHOOK_PORT

_LAST_PORT = 65_535
_LOCAL = "127.0.0.1"


class AddressError(Exception):
    """A part of the demo cannot listen where it should; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and TCP port to listen on, `chosen_by` an environment variable.

    `instead_of` is the port that was chosen, where that is taken.
    """

    host: str
    port: int
    part: str
    chosen_by: str
    instead_of: int | None = None

    @property
    def netloc(self) -> str:
        """Host and port, as a client on this machine has them."""
        return urlsplit(self.url).netloc

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Addresses:
    """All that the demo listens on."""

    api: Address
    ops: Address
    reviews: Address
    inventory: Address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """From HOST, PORT, OPS_HOST, OPS_PORT, REVIEWS__URL, INVENTORY__URL; empty is unset.

        Raises AddressError on what cannot be listened on.
        """
        chosen = {name.upper(): value for name, value in environment.items() if value}
        host, ops_host = chosen.get("HOST", "127.0.0.1"), chosen.get("OPS_HOST", "127.0.0.1")
        return cls(
            Address(host, _port(chosen, "PORT", 8000), "the API", "PORT"),
            Address(ops_host, _port(chosen, "OPS_PORT", 9464), "the ops port", "OPS_PORT"),
            _upstream(chosen, "reviews"),
            _upstream(chosen, "inventory"),
        )

    def __iter__(self) -> Iterator[Address]:
        return iter((self.api, self.ops, self.reviews, self.inventory))

    def check(self) -> None:
        """Raise AddressError, naming each address that is taken and how to choose another."""
        with ExitStack() as bound:
            faults = [fault for address in self if (fault := _bind(address, bound))]
        if faults:
            raise AddressError("\n".join(faults))


@dataclass(frozen=True, slots=True)
class WatchAddresses:
    """Where those listen that watch the service; free ports, since none of them has to be there."""

    preview: Address
    prometheus: Address
    alertmanager: Address
    webhook: Address

    @classmethod
    def beside(cls, others: Addresses, environment: Mapping[str, str]) -> Self:
        """From PREVIEW_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT and WEBHOOK_PORT, empty is unset.

        Debian's packages start services of their own on 9090 and 9093: what is taken is replaced
        by a free port. Raises AddressError on what is not a port.
        """
        chosen = {name.upper(): value for name, value in environment.items() if value}
        with ExitStack() as bound:
            for other in others:
                _bind(other, bound)

            def free(part: str, name: str, default: int) -> Address:
                wanted = Address(_LOCAL, _port(chosen, name, default), part, name)
                if _bind(wanted, bound) is None:
                    return wanted
                return replace(wanted, port=free_port(), instead_of=wanted.port)

            return cls(
                free("Preview", "PREVIEW_PORT", 3000),
                free("Prometheus", "PROMETHEUS_PORT", 9090),
                free("Alertmanager", "ALERTMANAGER_PORT", 9093),
                free("Webhook", "WEBHOOK_PORT", WEBHOOK_PORT),
            )


def _port(chosen: Mapping[str, str], name: str, default: int) -> int:
    text = chosen.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LAST_PORT):
        raise AddressError(f"{name}={text} is not a port: 1 to {_LAST_PORT}.")
    return int(text)


def _upstream(chosen: Mapping[str, str], kind: Kind) -> Address:
    name, default = f"{kind.upper()}__URL", DEFAULT_PORTS[kind]
    text = chosen.get(name, f"http://127.0.0.1:{default}")
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port = None, 80
    if host is None or url.scheme != "http" or url.path.strip("/"):
        raise AddressError(
            f"{name}={text}: the demo starts its stand-in there, so that has to be "
            f"http://HOST:PORT on this machine, such as http://127.0.0.1:{default}"
        )
    return Address(host, port, f"the {kind} stand-in", name)


def _bind(address: Address, bound: ExitStack) -> str | None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    probe = bound.enter_context(socket.socket(family))
    # As servers do: connections that ended a moment ago do not count.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((address.host, address.port))
        # Two of our own parts on one port are only told apart by listening.
        probe.listen()
    except OSError as error:
        return _explain(address, error)
    return None


def _explain(address: Address, error: OSError) -> str:
    place = f"{address.host}:{address.port}"
    other = str(address.port + (1 if address.port < 9000 else 100))
    if address.chosen_by.endswith("__URL"):
        other = f"http://127.0.0.1:{address.port + 100}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{place}, for {address.part}, is taken by another program. "
            f"Choose another port: {address.chosen_by}={other} make demo"
        )
    return f"{place}, for {address.part}, cannot be listened on: {error.strerror}."
