"""An event as one line of valid JSON, whatever its values are, and lines of bounded length."""

import re
from collections.abc import Mapping

import orjson

from .redaction import redact_text

MAX_LINE_BYTES = 64 * 1024

_MAX_TEXT_CHARS = 8_000
_MAX_VALUE_BYTES = 16 * 1024
_MAX_KEY_CHARS = 200

_OPTION = orjson.OPT_UTC_Z

# JSON may hold these as they are, terminals and line readers act on them: DEL, C1 (0x85 ends a
# line, 0x9b begins an escape sequence), Unicode's line ends, and what reverses the direction.
_ACTED_UPON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def json_line(event: Mapping[str, object]) -> bytes:
    """One line, its end included. Keys are text already, nesting is bounded (see `redact`)."""
    try:
        line = orjson.dumps(event, readable, _OPTION)
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        line = orjson.dumps(_plain(event), readable, _OPTION)
    if not line.isascii() or b"\x7f" in line:
        line = _escaped(line)
    # Not OPT_APPEND_NEWLINE: a line that waits should not keep orjson's whole buffer.
    return line + b"\n"


def cut(line: bytes) -> bytes:
    """A line of at most MAX_LINE_BYTES; JSON stays JSON and says how long it was."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        return line[: MAX_LINE_BYTES - 64].decode(errors="ignore").encode() + b" [line cut]\n"
    kept: dict[str, object] = {"line_cut_from_bytes": len(line)}
    room = MAX_LINE_BYTES - 64
    for key, value in event.items():
        short_key, short = key[:_MAX_KEY_CHARS], _shortened(value)
        room_needed = len(_encoded({short_key: short}))
        if room_needed <= room:
            kept[short_key] = short
            room -= room_needed
    return json_line(kept)


def readable(value: object) -> str:
    """Text for what JSON does not know; never raises, holds no half surrogate pairs."""
    try:
        text = repr(value)[:_MAX_TEXT_CHARS]
    except Exception:  # noqa: BLE001  a foreign __repr__ may raise anything
        text = f"<{type(value).__name__} that cannot be shown>"
    return redact_text(_whole(text))


def _encoded(value: object) -> bytes:
    return _escaped(orjson.dumps(value, readable, _OPTION))


def _escaped(text: bytes) -> bytes:
    return _ACTED_UPON.sub(_escape, text.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _plain(value: object) -> object:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, Mapping):
        return {_whole(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return readable(value)
    return value


def _whole(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return value[:_MAX_TEXT_CHARS]
    encoded = _encoded(value)
    if len(encoded) <= _MAX_VALUE_BYTES:
        return value
    return encoded[:_MAX_TEXT_CHARS].decode(errors="ignore")
