"""A running ops port, and a client that blocks, for threads and for other loops than the app's."""

import asyncio
import gzip
import http.client
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from middleware.exchange import Exchange
from middleware.health import Check, Health
from middleware.ops import Action, OpsServer, Shown
from middleware.settings import Settings

PATIENCE_SECONDS = 30.0


@contextmanager
def ops_port(
    health: Health | None = None,
    *,
    registries: Sequence[CollectorRegistry] = (),
    in_flight: Collection[Exchange] = (),
    actions: Mapping[str, Action] | None = None,
    token: str | None = None,
) -> Iterator[int]:
    """A running ops server; gives its port."""
    settings = Settings(
        ops_host="127.0.0.1", ops_port=0, ops_token=SecretStr(token) if token else None
    )
    actions = {} if actions is None else actions
    shown = Shown(registries, health or Health(), in_flight, actions=actions)
    with OpsServer(settings, shown) as server:
        assert server.address is not None
        yield server.address[1]


class Answer:
    """What the ops port said."""

    def __init__(self, port: int, path: str, method: str = "GET", **headers: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            self.body = response.read()
        finally:
            connection.close()

    @property
    def text(self) -> str:
        """The content, unzipped."""
        zipped = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if zipped else self.body).decode()

    def json(self) -> dict[str, Any]:
        """The content as JSON."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


async def ask(port: int, path: str, **headers: str) -> Answer:
    """The answer, while this loop goes on."""
    return await asyncio.to_thread(Answer, port, path, **headers)


def serving(checks: Mapping[str, Check] | None = None) -> Health:
    """The health of an app on the running loop, ready but for `checks`."""
    health = Health(checks=checks or {}, loop=asyncio.get_running_loop())
    health.serve()
    return health
