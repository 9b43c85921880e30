"""Stalls as lines: while they last, and one with everything when they are over."""

import io
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import structlog

from middleware.exchange import current_exchange
from middleware.logs import configured_logs
from middleware.logs.configuration import Format
from middleware.logs.json_lines import MAX_LINE_BYTES
from middleware.stall.record import Cause, Frame, Victim
from middleware.stall.report.log_lines import StallLines

from .telling import NOBODY, exchange, ongoing, stall, tell

OF_EVERY_LINE = {"timestamp", "level", "logger", "event"}


def written(say: Callable[[StallLines], object], log_format: Format = "json") -> str:
    stream = io.StringIO()
    with configured_logs("info", log_format, stream=stream):
        say(StallLines())
    return stream.getvalue()


def lines(say: Callable[[StallLines], object]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in written(say).splitlines()]


def deep(frames: int, name_chars: int = 40) -> tuple[Frame, ...]:
    names = (f"f{number:04}".ljust(name_chars, "x") for number in range(frames))
    folder = "/usr/local/lib/python3.13/site-packages/some_framework/its_package/"
    return tuple(Frame(name, f"Some.{name}", f"{folder}{name}.py", 77) for name in names)


def test_a_stack_of_a_thousand_frames_is_one_line_with_the_innermost_hundred() -> None:
    text = written(lambda told: tell(told, stall(stack=deep(1000))))

    line = orjson.loads(text)
    assert len(text) <= MAX_LINE_BYTES
    assert [frame["function"][5:10] for frame in line["stack"]] == [
        f"f{number:04}" for number in range(900, 1000)
    ]
    assert line["stack_left_out"] == 900


def test_names_without_end_cost_the_stack_and_no_other_fact() -> None:
    (line,) = lines(lambda told: tell(told, stall(stack=deep(1000, 5000))))

    assert line["line_cut_from_bytes"] > MAX_LINE_BYTES
    assert (line["cause"], line["culprit"]["line"], line["pid"]) == ("blocking_call", 1, 79)


def test_more_victims_than_ten_are_a_number() -> None:
    victims = (Victim("/health", "r-2", "b" * 32, 0.31),) * 500

    (line,) = lines(lambda told: tell(told, stall(victims=victims, victims_count=500)))

    assert (len(line["victims"]), line["victims_count"]) == (10, 500)


async def test_nothing_that_is_bound_on_the_thread_gets_into_the_line() -> None:
    def told_on_somebodys_thread(told: StallLines) -> None:
        current_exchange.set(somebodys)
        structlog.contextvars.bind_contextvars(user="somebody")
        tell(told, stall(cause=Cause.GC_PAUSE, culprit=None, request_id=None, trace_id=None))

    def say(told: StallLines) -> None:
        thread = threading.Thread(target=told_on_somebodys_thread, args=(told,))
        thread.start()
        thread.join()

    somebodys = exchange()
    (line,) = lines(say)

    assert (line["request_id"], line["trace_id"]) == (None, None)
    assert not line.keys() & {"user", "span_id"}


def test_a_stall_told_of_twice_is_one_line() -> None:
    def say(told: StallLines) -> None:
        tell(told, stall())
        tell(told, stall())

    assert len(lines(say)) == 1


def test_a_line_has_every_fact_under_its_own_name() -> None:
    (line,) = lines(lambda told: tell(told, stall()))

    facts = stall().facts()
    assert line.keys() == facts.keys() | OF_EVERY_LINE
    assert {name: line[name] for name in facts} == orjson.loads(orjson.dumps(facts))
    assert (line["event"], line["level"], line["phase"]) == ("event_loop_stall", "warning", "ended")
    assert line["culprit"]["source_line"].startswith('"""Stalls to tell of')


def test_a_long_one_is_heard_of_every_time_it_goes_on_and_once_at_the_end() -> None:
    def say(told: StallLines) -> None:
        told.opened(ongoing(duration_seconds=0.1), NOBODY)
        told.goes_on(ongoing(duration_seconds=1.0), NOBODY)
        told.goes_on(ongoing(duration_seconds=2.0), NOBODY)
        told.ended(stall(duration_seconds=2.5), NOBODY)

    assert [(line["phase"], line["duration_seconds"]) for line in lines(say)] == [
        ("ongoing", 1.0),
        ("ongoing", 2.0),
        ("ended", 2.5),
    ]


@pytest.mark.parametrize("fact", ["blocking_call", "Prices.of", "/prices/{item}", "0.31"])
def test_a_person_can_read_it_in_the_console(fact: str) -> None:
    text = written(lambda told: tell(told, stall()), "console")

    assert fact in text
