"""The process's logging is taken over while somebody is inside, and given back."""

import io
import logging
import sys
import threading
from pathlib import Path
from typing import NoReturn

import orjson
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from middleware.logs import configured_logs

from .counting import CountedDrops
from .saying import events


def test_lost_lines_are_counted_for_all_who_are_inside_and_for_nobody_later() -> None:
    first, second, late = CountedDrops(), CountedDrops(), CountedDrops()
    closed = io.StringIO()
    closed.close()

    with configured_logs(stream=closed, drops=first) as logs:
        with configured_logs(drops=second) as same:
            logs.pipe.losses.add()
        logs.pipe.losses.add()
        same.attach_drops(late)
        logs.pipe.losses.add()

    assert logs is same
    assert (first.lines, second.lines, late.lines) == (3, 1, 1)


def test_entering_twice_configures_once_and_the_last_to_leave_puts_everything_back() -> None:
    names = (None, "uvicorn", "uvicorn.error", "uvicorn.access")
    marker = logging.NullHandler()
    logging.getLogger("uvicorn").addHandler(marker)
    logging.getLogger("uvicorn.access").propagate = False

    def state() -> list[object]:
        return [
            (each.handlers[:], each.level, each.propagate, each.disabled)
            for each in map(logging.getLogger, names)
        ]

    before, logger_class = state(), logging.getLoggerClass()
    configured = structlog.is_configured()  # by another test's `capture_logs`, say
    stream = io.StringIO()

    with configured_logs(stream=stream):
        with configured_logs("critical", "console"):
            logging.getLogger("library").info("inner")
        logging.getLogger("library").info("outer")
        assert state() != before

    assert [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "inner",
        "outer",
    ]
    assert state() == before
    assert logging.getLoggerClass() is logger_class
    assert structlog.is_configured() == configured
    logging.getLogger("uvicorn").removeHandler(marker)
    logging.getLogger("uvicorn.access").propagate = True


def test_structlogs_configuration_of_before_comes_back() -> None:
    said: list[EventDict] = []

    def keep(logger: object, method: str, fields: EventDict) -> NoReturn:
        said.append(fields)
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    logger = structlog.get_logger()
    try:
        inside = events(lambda: logger.info("inside"))
        logger.info("outside")
    finally:
        structlog.reset_defaults()

    assert [each["event"] for each in inside] == ["inside"]
    assert said == [{"event": "outside"}]


def test_tests_can_still_capture_what_structlog_says() -> None:
    stream = io.StringIO()

    with configured_logs(stream=stream), capture_logs() as captured:
        structlog.get_logger().warning("captured", number=1)

    assert captured == [{"event": "captured", "number": 1, "log_level": "warning"}]
    assert stream.getvalue() == ""


def test_standard_output_without_a_descriptor_is_written_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with configured_logs() as logs:
        structlog.get_logger().info("seen")
        logs.pipe.put(lambda: logs.render({"event": "later", "password": "hunter2"}))

    first, second = capsys.readouterr().out.splitlines()
    assert orjson.loads(first)["event"] == "seen"
    assert orjson.loads(second) == {"event": "later", "password": "[redacted]"}


def test_a_process_without_standard_output_counts_its_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    drops = CountedDrops()

    with configured_logs(log_format="console", drops=drops) as logs:
        structlog.get_logger().info("unseen")
        logs.pipe.close(30)

    assert drops.lines == 1


async def test_the_asynchronous_methods_write_too() -> None:
    stream = io.StringIO()

    with configured_logs(stream=stream):
        await structlog.get_logger("service").ainfo("awaited %s", "it")

    assert orjson.loads(stream.getvalue())["event"] == "awaited it"


def test_entering_and_leaving_leaves_no_thread_and_no_file() -> None:
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(50):
        assert len(events(lambda: structlog.get_logger().info("event"))) == 1

    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files
