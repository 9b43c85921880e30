"""A real load balancer before the replicas: Debian's HAProxy, and how to configure it.

What matters is in the configuration, and no more: docs/scaling.md shows it.
"""

import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.demo.ports import free_port
from service.demo.processes import end, launch
from tests.exposition import value_in
from tests.integration.running import until

# Debian has it where only root looks.
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MISSING = "MISSING: Debian's package `haproxy` (apt-get install haproxy)"

_CONFIGURATION = """\
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout http-keep-alive 60s     # the replicas keep idle connections for longer
    timeout http-request 10s
    # A replica answers within its REQUEST_BUDGET_SECONDS ({budget:g}), unless its loop is blocked.
    timeout server {patience:g}s

frontend api
    bind {address}
    default_backend replicas

backend replicas
    # Who does not answer gathers requests, and so gets no more, long before a check has failed.
    balance leastconn
    option forwardfor               # the replicas limit rates by the caller's address

    # What a replica did not answer at all, another one is asked. Only what may be asked twice: a
    # POST is sent again only if no connection came about. Never after an error or an answer that
    # sheds load, or retries would make of a full service an overloaded one.
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response junk-response response-timeout
    http-request disable-l7-retry unless METH_GET

    # Ready or not: the ops port says so also while the event loop is blocked. A port that takes no
    # connections needs no check.
    option httpchk GET /readyz
    http-check expect status 200
    timeout check 1s
    default-server inter 1s fastinter 250ms fall 2 rise 1
    default-server observe layer4 error-limit 1 on-error mark-down
{checked}

    # None is ready: all lack the same thing, PostgreSQL for instance, and can do without it better
    # than nobody at all can.
    option allbackups
{anyway}

frontend observed
    bind {observed}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replica listens, on 127.0.0.1."""

    port: int
    ops_port: int


def configuration(
    places: Sequence[Place], address: str, observed: str, budget_seconds: float = 5.0
) -> str:
    """What HAProxy reads: `replica-1` and so on behind `address`, its own metrics at `observed`."""
    numbered = list(enumerate(places, 1))
    return _CONFIGURATION.format(
        address=address,
        observed=observed,
        budget=budget_seconds,
        patience=2 * budget_seconds,
        checked="\n".join(
            f"    server replica-{number} 127.0.0.1:{place.port} check port {place.ops_port}"
            for number, place in numbered
        ),
        anyway="\n".join(
            f"    server replica-{number}-anyway 127.0.0.1:{place.port} backup"
            for number, place in numbered
        ),
    )


@dataclass(frozen=True, slots=True)
class Balancer:
    """A running HAProxy."""

    process: subprocess.Popen[bytes]
    port: int
    observed_port: int

    @property
    def url(self) -> str:
        """What clients ask."""
        return f"http://127.0.0.1:{self.port}"

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of its series, 0 when there is none. Raises OSError while it starts."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.observed_port}/metrics") as answer:
            return value_in(answer.read().decode(), name, **labels)

    def uses(self, number: int) -> bool:
        """Whether it takes the replica of that number, counted from 1, for ready."""
        state = {"server": f"replica-{number}", "state": "UP"}
        return self.metric("haproxy_server_status", **state) == 1


@contextmanager
def running_balancer(
    folder: Path, places: Sequence[Place], budget_seconds: float = 5.0
) -> Iterator[Balancer]:
    """One before these replicas, which need not be there yet."""
    assert HAPROXY is not None, MISSING
    port, observed_port = free_port(), free_port()
    addresses = f"127.0.0.1:{port}", f"127.0.0.1:{observed_port}"
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(configuration(places, *addresses, budget_seconds))
    with log.open("wb") as output:
        command = [HAPROXY, "-db", "-f", str(file)]
        process = launch(command, environment={}, output=output)
    balancer = Balancer(process, port, observed_port)

    def is_there() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return balancer.metric("haproxy_process_nbthread") > 0
        except OSError:
            return False

    try:
        until(is_there, "HAProxy answers")
        yield balancer
    finally:
        end(process, graceful=signal.SIGTERM, grace_seconds=5)
