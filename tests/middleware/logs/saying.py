"""What is written when something is said."""

import io
from collections.abc import Callable
from typing import Any

import orjson

from middleware.logs import configured_logs
from middleware.logs.configuration import Format

Say = Callable[[], object]


def events(say: Say, *, level: str = "info", context: Any = ()) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in written(say, level=level, context=context).splitlines()]


def written(
    say: Say, log_format: Format = "json", *, level: str = "info", context: Any = ()
) -> str:
    stream = io.StringIO()
    with configured_logs(level, log_format, stream=stream, context=context):
        say()
    return stream.getvalue()
