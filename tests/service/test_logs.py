"""One format for every line, whoever wrote it, and one line for every event."""

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog

from service.logs import configure_logs

Lines = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _events(capsys: Lines) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def _fail() -> None:
    secret = 1
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError(f"outer {secret}") from error


def test_an_exception_is_structured_with_its_cause_and_frames(capsys: Lines) -> None:
    configure_logs("info", "json")

    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("work_failed")

    (event,) = _events(capsys)
    outer, inner = event["exception"]
    assert (outer["exc_type"], outer["exc_value"]) == ("ValueError", "outer 1")
    assert inner["exc_type"] == "KeyError"
    assert [frame["name"] for frame in outer["frames"]][-1] == "_fail"


def test_what_the_frames_of_an_exception_held_is_not_written(capsys: Lines) -> None:
    configure_logs("info", "json")
    password = "".join(("hunt", "er2"))

    try:
        int(password[:0])
    except ValueError:
        structlog.get_logger().exception("work_failed")

    assert password not in capsys.readouterr().out


def test_an_exception_of_the_standard_library_is_structured_too(capsys: Lines) -> None:
    configure_logs("info", "json")

    try:
        _fail()
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    (event,) = _events(capsys)
    assert event["exception"][0]["exc_type"] == "ValueError"


@pytest.mark.parametrize(
    "text",
    ["a\nb", '\r\n{"event":"forged","level":"critical"}', "\x1b[31m", "\u2028", "\x00", "\x85"],
)
def test_nothing_that_is_logged_can_begin_a_line_of_its_own(capsys: Lines, text: str) -> None:
    configure_logs("info", "json")

    structlog.get_logger(text).info(text, **{text: text})
    logging.getLogger("uvicorn.error").warning("refused: %s", text)

    written = capsys.readouterr().out
    assert written.count("\n") == 2
    first, second = (json.loads(line) for line in written.strip("\n").split("\n"))
    assert (first["event"], first[text]) == (text, text)
    assert second["event"] == f"refused: {text}"


def test_ours_the_libraries_and_the_servers_lines_have_the_same_members(capsys: Lines) -> None:
    configure_logs("info", "json")

    structlog.get_logger("service").info("event")
    logging.getLogger("aiohttp.client").info("event")
    logging.getLogger("uvicorn.error").info("event", extra={"color_message": "\x1b[1mevent"})

    events = _events(capsys)
    assert [each["logger"] for each in events] == ["service", "aiohttp.client", "uvicorn.error"]
    for each in events:
        assert set(each) == {"event", "logger", "level", "timestamp"}
        assert (each["event"], each["level"]) == ("event", "info")
        assert each["timestamp"].endswith("Z")


def test_arguments_and_extras_of_the_standard_library_are_kept(capsys: Lines) -> None:
    configure_logs("info", "json")

    logging.getLogger("library").warning("%d of %s", 1, "two", extra={"attempt": 3})

    (event,) = _events(capsys)
    assert (event["event"], event["attempt"], event["level"]) == ("1 of two", 3, "warning")


def test_context_is_on_every_line_while_it_lasts(capsys: Lines) -> None:
    configure_logs("info", "json")

    with structlog.contextvars.bound_contextvars(request_id="1"):
        structlog.get_logger().info("ours")
        logging.getLogger("library").info("theirs")
    structlog.get_logger().info("after")

    assert [each.get("request_id") for each in _events(capsys)] == ["1", "1", None]


class Awkward:
    """What JSON knows nothing about."""

    def __repr__(self) -> str:
        return "<awkward>"


def test_what_json_does_not_know_is_written_as_its_repr(capsys: Lines) -> None:
    configure_logs("info", "json")

    structlog.get_logger().info("odd", thing=Awkward(), price=Decimal("1.5"), raw=b"\xff")

    (event,) = _events(capsys)
    assert event["thing"] == "<awkward>"
    assert "1.5" in event["price"]


def test_a_number_of_more_than_64_bits_does_not_cost_the_line(capsys: Lines) -> None:
    configure_logs("info", "json")

    structlog.get_logger().info("counted", atoms=2**70)

    assert [each["event"] for each in _events(capsys)] == ["counted"]


@pytest.mark.parametrize("text", ["\ud800", "x" * 100_000])
def test_awkward_text_is_still_one_readable_line(capsys: Lines, text: str) -> None:
    configure_logs("info", "json")

    logging.getLogger("library").info("%s", text)

    assert len(_events(capsys)) == 1


def test_lines_below_the_level_are_not_written(capsys: Lines) -> None:
    configure_logs("warning", "json")

    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    structlog.get_logger().warning("loud")

    assert [each["event"] for each in _events(capsys)] == ["loud"]


def test_configuring_again_does_not_double_the_lines(capsys: Lines) -> None:
    configure_logs("info", "json")
    configure_logs("info", "json")

    logging.getLogger("library").info("once")

    assert len(_events(capsys)) == 1


def test_the_console_is_for_people_and_without_colours_when_nobody_looks(capsys: Lines) -> None:
    configure_logs("info", "console")

    structlog.get_logger("service").info("service_started", port=8000)

    written = capsys.readouterr().out
    assert "service_started" in written
    assert "port=8000" in written
    assert "\x1b" not in written


def test_the_console_shows_tracebacks(capsys: Lines) -> None:
    configure_logs("info", "console")

    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("work_failed")

    written = capsys.readouterr().out
    assert "KeyError" in written
    assert "ValueError: outer 1" in written
