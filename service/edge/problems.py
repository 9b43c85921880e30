"""The body of a problem, for layers that answer before the framework is reached."""

from http import HTTPStatus
from typing import Any

import orjson

from middleware.asgi import Scope, Send

_PROBLEM_JSON = (b"content-type", b"application/problem+json")


def request_id_of(scope: Scope) -> str:
    """The id that the middleware gave it: the caller's if that is well-formed, else ours."""
    return str(scope["state"]["request_id"])


def problem_body(status: int, detail: str, request_id: str, **members: Any) -> bytes:
    """`service.contracts.Problem` as JSON, titled with the status' own phrase."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return orjson.dumps(problem | {"request_id": request_id} | members)


async def send_problem(
    send: Send, status: int, detail: str, request_id: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Answer with a problem, through plain ASGI."""
    body = problem_body(status, detail, request_id)
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status}
    await send(start | {"headers": [_PROBLEM_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
