"""The requests in progress: which, since when, how far, and where they wait."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from middleware.asgi import Message, Scope
from middleware.exchange import Exchange
from middleware.ops import in_flight

from .asking import PATIENCE_SECONDS, Answer, ask, ops_port, serving

HTTP = {
    "type": "http",
    "method": "GET",
    "path": "/orders/7",
    "query_string": b"token=secret",
    "headers": [(b"x-request-id", b"r-1"), (b"authorization", b"Bearer secret")],
    "client": ("10.0.0.9", 5000),
}


async def receive() -> Message:
    """Nothing comes."""
    return {}


async def send(message: Message) -> None:
    """Goes nowhere."""


def begun(**scope: Any) -> Exchange:
    """A request of the running task."""
    return Exchange({**HTTP, **scope}, receive, send, lambda _: None)


class EndsWhileListed(Scope):
    """A scope that is taken to pieces, as it were, by another thread."""

    def __getitem__(self, key: str) -> Any:
        return HTTP[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Not kept."""

    def __delitem__(self, key: str) -> None:
        """Nothing to delete."""

    def __iter__(self) -> Iterator[str]:
        return iter(HTTP)

    def __len__(self) -> int:
        return len(HTTP)

    def get(self, key: str, default: Any = None) -> Any:
        """No framework's keys can be read."""
        if key == "route":
            raise KeyError(key)
        return HTTP.get(key, default)


async def test_a_route_that_cannot_be_told_is_unmatched() -> None:
    exchange = begun()
    exchange.scope = EndsWhileListed()

    with ops_port(in_flight={exchange}) as port:
        answer = await ask(port, "/inflight")

    assert answer.json()["requests"][0]["route"] == "unmatched"


async def test_requests_may_end_and_begin_while_they_are_listed() -> None:
    running: set[Exchange] = set()
    finished = threading.Event()
    answers: list[Answer] = []

    def ask_again_and_again(port: int) -> None:
        answers.extend(Answer(port, "/inflight") for _ in range(10))
        finished.set()

    async def request() -> None:
        exchange = begun()
        running.add(exchange)
        await asyncio.sleep(0.001)
        exchange.end()
        running.discard(exchange)

    with ops_port(serving(), in_flight=running) as port:
        threading.Thread(target=ask_again_and_again, args=(port,), daemon=True).start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not finished.is_set():
                async with asyncio.TaskGroup() as group:
                    for _ in range(50):
                        group.create_task(request())

    assert {answer.status for answer in answers} == {200}


async def test_one_that_has_ended_and_is_still_listed_waits_nowhere() -> None:
    exchange = begun()
    exchange.task = asyncio.create_task(asyncio.sleep(0))
    await exchange.task
    exchange.end()

    with ops_port(in_flight={exchange}) as port:
        (request,) = (await ask(port, "/inflight")).json()["requests"]

    assert request["waits_at"] is None


async def test_most_are_counted_and_the_oldest_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "MOST_LISTED", 25)
    running = [begun(path=f"/{number}") for number in range(40)]

    with ops_port(in_flight=set(running)) as port:
        listed = (await ask(port, "/inflight")).json()

    assert listed["total"] == 40
    assert [each["path"] for each in listed["requests"]] == [f"/{number}" for number in range(25)]


async def test_a_request_is_described_without_its_secrets() -> None:
    exchange = begun(path_template="/orders/{id}")

    with ops_port(in_flight={exchange}) as port:
        answer = await ask(port, "/inflight")

    (request,) = answer.json()["requests"]
    assert request.pop("age_seconds") >= 0
    assert request.pop("waits_at")["function"]
    assert request == {
        "type": "http",
        "method": "GET",
        "route": "/orders/{id}",
        "path": "/orders/7",
        "request_id": "r-1",
        "trace_id": exchange.trace_hex,
        "client": "10.0.0.9",
        "client_disconnected": False,
        "response": {"head_sent": False, "status": None, "bytes": 0},
    }
    assert "secret" not in answer.text


async def test_it_says_how_far_the_response_has_come() -> None:
    exchange = begun()
    await exchange.send({"type": "http.response.start", "status": 206, "headers": []})
    await exchange.send({"type": "http.response.body", "body": b"12345", "more_body": True})

    with ops_port(in_flight={exchange}) as port:
        (request,) = (await ask(port, "/inflight")).json()["requests"]

    assert request["response"] == {"head_sent": True, "status": 206, "bytes": 5}


@pytest.mark.parametrize("path", ["/\udcff", "/\n{}", "/" + "x" * 100_000])
async def test_any_path_can_be_shown(path: str) -> None:
    exchange = begun(path=path)

    with ops_port(in_flight={exchange}) as port:
        (request,) = (await ask(port, "/inflight")).json()["requests"]

    assert request["path"] == path[:500]


async def test_one_that_blocks_the_loop_is_shown_at_the_blocking_line() -> None:
    running = {begun()}
    answered = threading.Event()
    answers: list[Answer] = []

    def ask_once(port: int) -> None:
        answers.append(Answer(port, "/inflight"))
        answered.set()

    def blocks(port: int) -> None:
        threading.Thread(target=ask_once, args=(port,), daemon=True).start()
        answered.wait(PATIENCE_SECONDS)

    with ops_port(serving(), in_flight=running) as port:
        blocks(port)

    place = answers[0].json()["requests"][0]["waits_at"]
    assert place["running"]
    assert place["application"]["function"].endswith("blocks")
    assert place["application"]["file"] == __file__
