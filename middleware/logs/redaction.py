"""Secrets are known by their names: what may leave the process, in a log line or elsewhere."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Literal

REDACTED = "[redacted]"
_LEFT_OUT = "[left out]"

_MAX_DEPTH = 16
_MAX_VALUES = 20_000  # also what ends circular structures and those that multiply themselves
_MAX_REMEMBERED = 4096
_MAX_REMEMBERED_CHARS = 64

Meaning = Literal["secret", "url", "query", "plain"]

_SECRET = re.compile(
    r"passw(or)?d|pass_?phrase|pwd|secret|token(?!i[sz])|api_?key|private_?key|access_?key"
    r"|authori[sz]ation|cookie|credential|session|csrf|xsrf|jwt|dsn"
    r"|(?<![a-z])(auth|sid)(?![a-z])",
    re.IGNORECASE,
)
_QUERY = re.compile(r"query_string$|url_query$", re.IGNORECASE)
_URL = re.compile(r"ur[il]|target|href|referr?er|location|endpoint", re.IGNORECASE)

_USERINFO = re.compile(r"://[^/?#\s]*@")
_QUERY_VALUE = re.compile(r"=[^&#]*")
_HARMLESS = frozenset({int, float, bool, type(None)})


def redact(fields: Mapping[Any, object]) -> dict[str, object]:
    """A copy that may be shown: dicts, lists and text, nested 16 deep, of at most 20,000 values."""
    return _Walk().mapping(fields, 0)


def redact_url(url: str) -> str:
    """The URL without its userinfo and without the values of its query and fragment."""
    url = _without_userinfo(url)
    place = re.split(r"[?#]", url, maxsplit=1)[0]
    return place + redact_query(url[len(place) :])


def redact_query(query: str) -> str:
    """The query string without its values; names stay."""
    return _QUERY_VALUE.sub(f"={REDACTED}", query)


def redact_text(text: str) -> str:
    """Free text without the userinfo of URLs in it."""
    return _USERINFO.sub(f"://{REDACTED}@", text) if "://" in text else text


_CLEAN: dict[Meaning, Callable[[str], str]] = {
    "plain": redact_text,
    "url": redact_url,
    "query": redact_query,
}


class _Meanings(dict[str, Meaning]):
    """What a value of some name is; bounded, for clients may choose names."""

    def __missing__(self, name: str) -> Meaning:
        meaning = _meaning(name)
        if len(name) <= _MAX_REMEMBERED_CHARS:
            if len(self) >= _MAX_REMEMBERED:
                self.clear()
            self[name] = meaning
        return meaning


def _meaning(name: str) -> Meaning:
    name = re.sub(r"[-. ]", "_", name)
    if _SECRET.search(name):
        return "secret"
    if _QUERY.search(name):
        return "query"
    return "url" if _URL.search(name) else "plain"


_meanings = _Meanings()


def _without_userinfo(url: str) -> str:
    scheme, sign, rest = url.partition("://")
    if not sign or "@" not in rest:
        return redact_text(url)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = authority.partition(":")[2]
    # `u:p/w@host`: what looks like a port is the beginning of a password nobody escaped.
    unescaped = "@" not in authority and port and not port.isdigit() and authority[0] != "["
    end = rest.rfind("@") if unescaped else authority.rfind("@")
    return f"{scheme}://{REDACTED}@{redact_text(rest[end + 1 :])}" if end >= 0 else url


class _Walk:
    """One copy being made; counts what may still be copied."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def mapping(self, fields: Mapping[Any, object], depth: int) -> dict[str, object]:
        room, self._left = self._left, self._left - len(fields)
        shown: dict[str, object] = {}
        for key, value in islice(fields.items(), room):
            # The usual field; all else would be right without this, and three times slower.
            if (
                (type(value) in _HARMLESS or (type(value) is str and "://" not in value))
                and type(key) is str
                and _meanings[key] == "plain"
            ):
                shown[key] = value
            else:
                name = key if type(key) is str else _text(key)
                shown[name] = self._field(name, value, depth)
        if room < len(fields):
            shown[_LEFT_OUT] = len(fields) - room
        return shown

    def _field(self, name: str, value: object, depth: int) -> object:
        meaning = _meanings[name]
        return REDACTED if meaning == "secret" else self._value(value, depth, _CLEAN[meaning])

    def _value(self, value: object, depth: int, clean: Callable[[str], str]) -> object:
        if type(value) in _HARMLESS:
            return value
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, bytes) and b"://" in value:
            return clean(_text(value))
        inner = self._inner(value, depth, clean)
        if inner is value and clean is not redact_text:
            return clean(_text(value))  # a library's own kind of URL
        return inner

    def _inner(self, value: object, depth: int, clean: Callable[[str], str]) -> object:
        """A redacted copy of what holds other values; anything else comes back itself."""
        try:
            fields = _fields_of(value)
            if fields is None and not isinstance(value, list | tuple | AbstractSet):
                return value
            if depth >= _MAX_DEPTH or self._left <= 0:
                return _LEFT_OUT
            if fields is not None:
                return self.mapping(fields, depth + 1)
            return self._items(value, depth + 1, clean)  # type: ignore[arg-type]  # a list, then
        except Exception:  # noqa: BLE001  a foreign container may raise anything
            return f"<{type(value).__name__} that cannot be read>"

    def _items(
        self, values: Iterable[object], depth: int, clean: Callable[[str], str]
    ) -> list[object]:
        items = list(islice(values, self._left))
        self._left -= len(items)
        if len(items) == 2 and isinstance(items[0], str | bytes):  # a header, as ASGI has them
            name, value = _text(items[0]), items[1]
            if _meanings[name] != "plain":
                return [name, self._field(name, value, depth)]
        return [self._value(each, depth, clean) for each in items]


def _fields_of(value: object) -> Mapping[object, object] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named: Mapping[object, object] = value._asdict()
        return named
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in _shown_fields(value)}
    return None


def _shown_fields(value: object) -> Iterable[dataclasses.Field[object]]:
    return (each for each in dataclasses.fields(value) if each.repr)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a foreign __str__ may raise anything
        return f"<{type(value).__name__} that cannot be shown>"
