"""Whatever is logged, it is one line, of valid JSON, and nothing a terminal would obey."""

import io
import logging
import unicodedata
from datetime import UTC
from enum import Enum
from typing import Any, NoReturn

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from middleware.logs import configured_logs
from middleware.logs.configuration import Format

from .counting import CountedDrops


class Broken:
    """What cannot even be shown."""

    def __repr__(self) -> NoReturn:
        raise RuntimeError("\n")

    def __hash__(self) -> int:
        return 1


class Colour(Enum):
    """An enumeration, as JSON and as a key."""

    RED = "\x1b[31m"


texts = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    [
        "a\nb",
        '\r\n{"event":"forged"}',
        "\x1b[31m",
        "\u2028",
        "\u2029",
        "\x85",
        "\x9b",
        "\x7f",
        "\ud800",
    ]
)
leaves = (
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(2**63) - 1, Colour.RED, {1}, 1j, object])
    | st.builds(pow, st.just(10), st.just(5000))  # more digits than Python writes
    | st.builds(Broken)
    | st.floats()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.builds(ValueError, texts)
)
keys = texts | st.integers() | st.none() | st.binary() | st.just(Colour.RED) | st.builds(Broken)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
names = texts.filter(lambda name: name not in {"event", "self", "exc_info"})
fields = st.dictionaries(names, values, max_size=4)


def commands(text: str) -> list[str]:
    return [each for each in text if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize("log_format", ["json", "console"])
@given(event=texts | values, logger=texts.filter(bool), said=fields, value=values)
def test_every_call_gives_one_line_that_commands_nothing(
    log_format: Format, event: Any, logger: str, said: dict[str, Any], value: object
) -> None:
    drops, stream = CountedDrops(), io.BytesIO()

    with configured_logs(log_format=log_format, stream=stream, drops=drops):
        structlog.get_logger(logger).info(event, **said)
        logging.getLogger(logger).warning("%s", value, extra={"said": said})
        log_exception(logging.getLogger(logger), event)

    lines = stream.getvalue().decode().split("\n")
    assert drops.lines == 0
    assert commands("".join(lines)) == []
    assert len([line for line in lines if line and not line.startswith("  ")]) == 3
    if log_format == "json":
        assert [isinstance(orjson.loads(line), dict) for line in lines[:-1]] == [True] * 3


def log_exception(logger: logging.Logger, message: object) -> None:
    try:
        raise ValueError(message)
    except ValueError:
        logger.exception(message)
