"""Signals are told of every request that has ended, once, some at a time."""

import asyncio
import gc
import os
import threading
import weakref
from typing import Any, NoReturn

import pytest
import structlog
from prometheus_client import CollectorRegistry

from middleware.drops import Drops
from middleware.exchange import Exchange
from middleware.records import Record, Records, record_of

from .asgi_calls import call, hello, http_scope, requests_only, running
from .observing import observed, observing

ENOUGH = 32


async def never(*given: Any) -> NoReturn:
    raise AssertionError("nobody calls this")


def ended(path: str = "/", **scope: Any) -> Exchange:
    exchange = Exchange({**http_scope(path), **scope}, never, never, lambda _: None)
    exchange.status, exchange.route, exchange.ended = 200, path, exchange.started + 0.5
    return exchange


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def records(registry: CollectorRegistry) -> Records:
    return Records(Drops(registry))


def dropped(registry: CollectorRegistry, signal: str) -> float | None:
    return registry.get_sample_value("telemetry_dropped_total", {"signal": signal})


def read_by(records: Records, signal: Any = "logs") -> list[Record]:
    read: list[Record] = []
    records.readers.append((signal, read.append))
    return read


async def test_what_one_reader_raises_is_counted_for_each_request(
    records: Records, registry: CollectorRegistry
) -> None:
    def raising(record: Record) -> NoReturn:
        raise ZeroDivisionError

    records.readers.append(("metrics", raising))
    read = read_by(records)
    for _ in range(3):
        records.add(ended())

    records.tell()

    assert dropped(registry, "metrics") == 3
    assert dropped(registry, "logs") == 0
    assert len(read) == 3


async def test_a_request_that_gives_no_facts_is_lost_to_every_reader(
    records: Records, registry: CollectorRegistry
) -> None:
    read = read_by(records, "metrics") + read_by(records, "logs")
    strange = ended()
    strange.scope = None  # type: ignore[assignment]

    records.add(strange)
    records.tell()

    assert not read
    assert (dropped(registry, "metrics"), dropped(registry, "logs")) == (1, 1)


async def test_they_are_read_when_there_are_enough(records: Records) -> None:
    read = read_by(records)

    for number in range(ENOUGH + 1):
        assert not read or len(read) == ENOUGH
        records.add(ended(f"/{number}"))

    assert [record.path for record in read] == [f"/{number}" for number in range(ENOUGH)]


async def test_each_says_that_it_waits_unless_they_are_told(records: Records) -> None:
    said: list[int] = []
    records.when_waiting = lambda: said.append(1)

    for _ in range(ENOUGH):
        records.add(ended())

    assert len(said) == ENOUGH - 1


async def test_who_tries_does_not_wait_for_who_tells(records: Records) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(record: Record) -> None:
        reading.set()
        go_on.wait(60)

    records.readers.append(("logs", slow))
    read = read_by(records, "metrics")
    records.add(ended("/first"))
    teller = asyncio.create_task(asyncio.to_thread(records.tell))
    await asyncio.to_thread(reading.wait, 60)

    for _ in range(2 * ENOUGH):  # would wait for ever if it waited
        records.add(ended("/later"))
    records.try_to_tell()
    assert not read

    go_on.set()
    await teller
    records.tell()
    assert [record.path for record in read] == ["/first", *["/later"] * 2 * ENOUGH]


async def test_a_record_keeps_nothing_of_the_request_alive(records: Records) -> None:
    class Session:
        pass

    session = Session()
    alive = weakref.ref(session)
    records.add(ended(state={"session": session}))
    del session
    gc.collect()

    assert alive() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_forked_child_tells_of_its_own_requests_only(records: Records) -> None:
    read, childs = read_by(records), ended("/childs")
    records.add(ended("/parents"))
    records._telling.acquire()  # as a thread of the parent's has that is not there in the child

    child = os.fork()
    if not child:  # pragma: no cover
        try:
            records.add(childs)
            records.tell()
        finally:
            os._exit([record.path for record in read] != ["/childs"])
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    records._telling.release()

    assert status == 0


async def test_a_requests_line_comes_before_what_is_said_after_it() -> None:
    async with observing(requests_only(hello)) as seen:
        await call(seen.app, http_scope("/first"))
        structlog.get_logger().info("said_after_it")
        await call(seen.app, http_scope("/second"))

    said = [line.get("path") or line["event"] for line in seen.lines]
    assert said.index("/first") < said.index("said_after_it") < said.index("/second")


async def test_facts_are_those_of_the_end(records: Records) -> None:
    exchange = ended("/orders")
    exchange.error = KeyError("x")

    record = record_of(exchange)

    assert (record.method, record.route, record.status) == ("GET", "/orders", 200)
    assert record.seconds == pytest.approx(0.5)
    assert (record.trace_id, record.span_id) == (exchange.trace_hex, exchange.span_hex)
    assert record.error == "KeyError"


async def test_who_tried_in_vain_is_woken_again(records: Records) -> None:
    woken: list[int] = []
    records.when_waiting = lambda: woken.append(len(records._waiting))

    def reading(record: Record) -> None:
        if record.path == "/first":
            records.when_waiting, wake = None, records.when_waiting
            records.add(ended("/meanwhile"))  # whose waking comes too early
            records.when_waiting = wake

    records.readers.append(("logs", reading))
    records.add(ended("/first"))
    records.tell()

    assert woken == [1, 1]


async def test_what_ends_after_the_telemetry_has_stopped_is_told_at_once() -> None:
    go_on = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await hello(scope, receive, send)

    with observed(requests_only(late)) as seen:
        async with running(seen.app):
            task = asyncio.create_task(call(seen.app, http_scope("/late")))
            await asyncio.sleep(0)
        go_on.set()
        await task

    assert seen.counted("unmatched", 200) == 1
    assert seen.request["path"] == "/late"
