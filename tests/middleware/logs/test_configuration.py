"""Every line of the process in one format, whoever wrote it, and nothing left behind."""

import io
import logging
import os
from typing import Any, NoReturn

import orjson
import pytest
import structlog
from structlog.typing import EventDict

from middleware.logs import configured_logs
from middleware.logs.configuration import Format

from .counting import CountedDrops
from .saying import events, written


def fail() -> None:
    password = "".join(("hunt", "er2"))
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError(f"outer {len(password)}") from error


def say_exception() -> None:
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("work_failed")
        logging.getLogger("library").exception("work_failed")


def test_an_exception_is_structured_with_its_causes_and_without_variables() -> None:
    text = written(say_exception)

    assert "hunter2" not in text
    for line in text.splitlines():
        outer, inner = orjson.loads(line)["exception"]
        assert (outer["exc_type"], outer["exc_value"]) == ("ValueError", "outer 7")
        assert (inner["exc_type"], inner["is_cause"]) == ("KeyError", True)
        assert [frame["name"] for frame in outer["frames"]] == ["say_exception", "fail"]


@pytest.mark.parametrize("exc_info", [True, ValueError("x"), (None, None, None), "odd", (1, 2), 7])
def test_any_exc_info_is_borne(exc_info: object) -> None:
    (event,) = events(lambda: structlog.get_logger().error("odd", exc_info=exc_info))

    assert event["event"] == "odd"
    assert ("exception" in event) == isinstance(exc_info, ValueError)


class Unprintable(Exception):  # noqa: N818
    """Raises wherever it is shown."""

    def __str__(self) -> NoReturn:
        raise self

    __repr__ = __str__


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_what_cannot_be_shown_reaches_nobody_and_costs_no_line(log_format: Format) -> None:
    awkward = Unprintable()

    def say() -> None:
        structlog.get_logger().info("odd", thing=awkward, keys={awkward: 1}, exc_info=awkward)
        structlog.get_logger().info("odd %s", awkward)
        structlog.get_logger().info(awkward)
        logging.getLogger("library").info("odd %s", awkward, extra={"thing": awkward})
        logging.getLogger("library").info("odd %d %d", *[1])
        logging.getLogger("library").info("odd %(name)s", {"other": 1})

    lines = written(say, log_format).splitlines()

    assert len([line for line in lines if not line.startswith("  ")]) == 6


def test_a_context_that_raises_costs_its_own_fields_only() -> None:
    def broken(logger: object, method: str, fields: EventDict) -> EventDict:
        raise RuntimeError

    def traced(logger: object, method: str, fields: EventDict) -> EventDict:
        return {**fields, "trace_id": "1"}

    def say() -> None:
        structlog.get_logger().info("ours")
        logging.getLogger("library").info("theirs")

    said = events(say, context=[broken, traced])

    assert [(each["event"], each["trace_id"]) for each in said] == [("ours", "1"), ("theirs", "1")]


def test_an_event_that_a_context_drops_is_no_loss() -> None:
    def nothing(logger: object, method: str, fields: EventDict) -> NoReturn:
        raise structlog.DropEvent

    drops = CountedDrops()
    stream = io.StringIO()
    with configured_logs(stream=stream, context=[nothing], drops=drops):
        structlog.get_logger().info("quiet")

    assert (stream.getvalue(), drops.lines) == ("", 0)


def test_an_unknown_level_is_refused_and_nothing_is_touched() -> None:
    before = logging.root.handlers[:]

    with pytest.raises(ValueError, match="'loud'"), configured_logs("loud"):
        pass

    assert logging.root.handlers == before
    assert not structlog.is_configured()


def test_ours_the_libraries_and_the_servers_lines_have_the_same_members() -> None:
    def say() -> None:
        structlog.get_logger("service").info("event")
        logging.getLogger("aiohttp.client").info("event")
        logging.getLogger("uvicorn.error").info("event", extra={"color_message": "\x1b[1mevent"})

    said = events(say)

    assert [each["logger"] for each in said] == ["service", "aiohttp.client", "uvicorn.error"]
    for each in said:
        assert list(each) == ["timestamp", "level", "logger", "event"]
        assert (each["event"], each["level"]) == ("event", "info")
        assert each["timestamp"].endswith("Z")


def test_arguments_extras_and_stacks_are_kept() -> None:
    def say() -> None:
        logging.getLogger("library").warning("%d of %s", 1, "two", extra={"attempt": 3})
        logging.getLogger("library").warning("%(one)s", {"one": 1}, stack_info=True)
        structlog.get_logger().warning("%d of %s", 1, "two", attempt=3, stack_info=True)

    first, second, third = events(say)

    assert (first["event"], first["attempt"], first["level"]) == ("1 of two", 3, "warning")
    assert second["event"] == "1"
    assert (third["event"], third["attempt"]) == ("1 of two", 3)
    assert ", in say" in second["stack"]
    assert third["stack"].splitlines()[-2].endswith(", in say")


def test_a_field_cannot_pretend_to_be_another_line() -> None:
    forged = {"level": "critical", "logger": "root", "timestamp": "2000-01-01"}

    def say() -> None:
        structlog.get_logger("ours").info("event", **forged)
        logging.getLogger("theirs").info("event", extra={**forged, "event": "other"})

    ours, theirs = events(say)

    for each, logger in ((ours, "ours"), (theirs, "theirs")):
        assert (each["level"], each["logger"], each["event"]) == ("info", logger, "event")
        assert not each["timestamp"].startswith("2000")


def test_context_variables_are_on_every_line_while_they_last() -> None:
    def say() -> None:
        with structlog.contextvars.bound_contextvars(request_id="1"):
            structlog.get_logger().info("ours")
            logging.getLogger("library").info("theirs")
        structlog.get_logger().bind(request_id="2").info("bound")
        structlog.get_logger().info("after")

    assert [each.get("request_id") for each in events(say)] == ["1", "1", "2", None]


def test_lines_below_the_level_are_not_written() -> None:
    def say() -> None:
        for logger in (structlog.get_logger(), logging.getLogger("library")):
            logger.info("quiet")
            logger.warning("loud")
        logging.getLogger("uvicorn.error").info("quiet")
        logging.getLogger("uvicorn.access").critical("quiet")

    assert [each["event"] for each in events(say, level="warning")] == ["loud", "loud"]


@pytest.mark.parametrize("method", ["warning", "error", "exception", "critical"])
def test_warnings_and_above_are_written_at_once(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()

    with (
        open(reading) as lines,
        open(writing, "w") as stream,
        configured_logs(stream=stream) as logs,
    ):
        monkeypatch.setattr(logs.pipe, "_flush_seconds", 3600.0)
        getattr(structlog.get_logger(), method)("ours")
        assert orjson.loads(lines.readline())["event"] == "ours"
        getattr(logging.getLogger("library"), method)("theirs")
        assert orjson.loads(lines.readline())["event"] == "theirs"


def test_a_logger_without_a_name_has_its_modules() -> None:
    (event,) = events(lambda: structlog.get_logger().info("event"))

    assert event["logger"] == __name__


def test_secrets_are_redacted_in_every_format() -> None:
    def say() -> None:
        structlog.get_logger().info("called", password="hunter2", url="http://a/?q=hunter2")
        logging.getLogger("library").info("http://u:hunter2@h", extra={"api_key": "hunter2"})

    assert "hunter2" not in written(say)
    assert "hunter2" not in written(say, "console")


def test_the_console_shows_tracebacks_on_lines_that_are_indented() -> None:
    def say() -> None:
        try:
            raise ExceptionGroup("both", [ValueError("a\n2026 [info] forged"), KeyError("b")])
        except ExceptionGroup:
            structlog.get_logger("service").exception("failed", stack="x\ny", port=8000)

    text = written(say, "console")

    first, *more = text.splitlines()
    assert "failed" in first
    assert "port=8000" in first
    assert any("ValueError: a\\n2026 [info] forged" in line for line in more)
    assert "raise ExceptionGroup" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("field", ["exception", "stack", "exc_info"])
def test_a_field_named_like_a_traceback_is_no_way_around_it(field: str) -> None:
    forged: Any = {field: "x\n2026-01-01 [info] forged\x1b[31m"}

    text = written(lambda: structlog.get_logger().info("event", **forged), "console")

    assert all(line.startswith("  ") for line in text.splitlines()[1:] if line)
    assert "\x1b" not in text


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_colours_and_values_have_none() -> None:
    terminal = Terminal()

    with configured_logs(log_format="console", stream=terminal):
        structlog.get_logger().info("event", value="\x1b[31mred\x9b")

    assert "\x1b[0m" in terminal.getvalue()
    assert "\\x1b[31mred\\x9b" in terminal.getvalue()
