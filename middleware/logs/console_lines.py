"""An event for people. What was logged cannot begin a line of its own nor command the terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from structlog.dev import ConsoleRenderer, plain_traceback

from .exceptions import traceback_lines
from .json_lines import readable

_INDENT = "\n    "


def console_lines(*, colours: bool) -> Callable[[Mapping[str, object]], bytes]:
    """A function that renders one event; a traceback follows on indented lines."""
    render = ConsoleRenderer(colors=colours, exception_formatter=plain_traceback)

    def rendered(event: Mapping[str, object]) -> bytes:
        fields: dict[str, Any] = {_safe(name): _shown(value) for name, value in event.items()}
        for name, lines in (("stack", _stack), ("exception", _traceback)):
            if name in event:
                fields[name] = _INDENT.join(["", *map(_safe, lines(event[name]))])[1:]
        return f"{render(None, '', fields)}\n".encode(errors="backslashreplace")

    return rendered


def _shown(value: object) -> str:
    return _safe(value if isinstance(value, str) else readable(value))


def _stack(stack: object) -> list[str]:
    return stack.splitlines() if isinstance(stack, str) else [readable(stack)]


def _traceback(stacks: object) -> list[str]:
    try:
        return list(traceback_lines(stacks))  # type: ignore[arg-type]
    except (TypeError, KeyError, AttributeError):  # somebody's own field of that name
        return [readable(stacks)]


def _safe(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
