"""What a page of the ops port gives back."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from ..asgi import Scope


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, content type and content; `headers` are those that it needs besides."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what answers, what it shows, and whether it does without the token."""

    answer: Callable[[Scope], Awaitable[Answer]]
    shows: str
    public: bool = False


def json_answer(content: object, status: int = 200) -> Answer:
    """`content` as JSON, in ASCII: a path may hold anything."""
    return Answer(status, "application/json", json.dumps(content).encode())


def problem(status: int, detail: str, **headers: str) -> Answer:
    """An error as RFC 9457 has it."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return Answer(status, "application/problem+json", json.dumps(content).encode(), headers)
