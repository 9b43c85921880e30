"""Errors as RFC 9457 problems: the one table, the one handler, the only place with status codes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.edge.access import RateLimitedError, UnknownKeyError
from service.edge.disconnects import ClientDisconnectedError
from service.edge.problems import problem_body, request_id_of
from service.predictions.domain import (
    DeadlineExceededError,
    ImageTooLargeError,
    ModelInputError,
    ModelNotFoundError,
    ModelNotLoadedError,
    ModelUnavailableError,
    QueueFullError,
    UnreadableImageError,
)
from service.products.domain import ProductNotFoundError, ProductUnavailableError

CLIENT_CLOSED_REQUEST = 499  # nobody reads it; logs and metrics tell it from a failure of ours
RETRY_AFTER_SECONDS = 1

STATUS_OF: Mapping[type[Exception], int] = {
    ProductNotFoundError: HTTPStatus.NOT_FOUND,
    ProductUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnknownKeyError: HTTPStatus.UNAUTHORIZED,
    RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    ModelNotFoundError: HTTPStatus.NOT_FOUND,
    ModelNotLoadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    ModelUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    ModelInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    QueueFullError: HTTPStatus.TOO_MANY_REQUESTS,
    DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
    UnreadableImageError: HTTPStatus.BAD_REQUEST,
    ImageTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error that is foreseen with a problem; edge.response_headers has the others."""
    for error in STATUS_OF:
        app.add_exception_handler(error, _domain_error)
    app.add_exception_handler(ClientDisconnectedError, _client_disconnected)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _domain_error(request: Request, error: Exception) -> Response:
    status = STATUS_OF[type(error)]
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "ApiKey"
    elif status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(getattr(error, "retry_after_seconds", RETRY_AFTER_SECONDS))
    return _problem(request, status, str(error), headers)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return _problem(request, HTTPStatus.BAD_REQUEST, "The body is not valid JSON.")
    # Not `input` and `ctx`: they would send back what the client sent.
    fields = [
        {"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]}
        for fault in faults
    ]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=fields)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed(headers.get("Allow", ""))
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing at this path.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"This path answers {headers.get('Allow')}.",
    }
    detail = details.get(HTTPStatus(error.status_code), str(error.detail))
    return _problem(request, error.status_code, detail, headers)


def _allowed(methods: str) -> str:
    allowed = {method.strip() for method in methods.split(",") if method.strip()} | {"OPTIONS"}
    return ", ".join(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))


def _problem(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: Any = None,
) -> Response:
    members: dict[str, Any] = {"errors": errors} if errors else {}
    if request.scope["path"].startswith("/v2"):  # where standard clients read it
        members["error"] = detail
    body = problem_body(status, detail, request_id_of(request.scope), **members)
    return Response(body, status, headers, media_type="application/problem+json")
