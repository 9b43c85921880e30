"""What boards ask of Prometheus: its reading API, within limits, and errors in its own form."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web
from pydantic_core import from_json

# A `match[]` has to fit, and no path but these: the rest of the API writes, or tells secrets.
PATHS = "query|query_range|query_exemplars|series|rules|alerts|label/[a-zA-Z_][a-zA-Z0-9_]*/values"

_TIMEOUT_SECONDS = 20.0
_LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
_HOW_TO_GET_ONE = (
    "This preview has no Prometheus to ask. Install one (Debian, Ubuntu: apt-get install "
    "prometheus; macOS: brew install prometheus) and start the demo again, or show the preview "
    "yours: stallscope preview --prometheus http://127.0.0.1:9090"
)


class UnusableAnswerError(Exception):
    """An answer that is too large, or not Prometheus'."""


class Proxy:
    """Hands questions on to one Prometheus; without a URL it answers how to get one."""

    def __init__(self, url: str | None, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def answer(self, request: web.Request) -> web.Response:
        """Prometheus' answer, or 502 in the same form; 503 where there is none to ask."""
        if self._url is None:
            return failure(HTTPStatus.SERVICE_UNAVAILABLE, "no_prometheus", _HOW_TO_GET_ONE)
        try:
            url = f"{self._url.rstrip('/')}/api/v1/{request.match_info['path']}"
            status, body = await self._ask(url, request.query)
        except TimeoutError:  # first: some of aiohttp's are also ClientErrors
            reason = f"does not answer within {self._timeout.total:g} s"
        except (aiohttp.ClientError, ValueError) as error:
            reason = f"cannot be reached: {error}"
        except UnusableAnswerError as error:
            reason = f"{error}"
        else:
            return web.Response(status=status, body=body, content_type="application/json")
        return failure(HTTPStatus.BAD_GATEWAY, "unreachable", f"Prometheus at {self._url} {reason}")

    async def _ask(self, url: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession(timeout=self._timeout) as session,
            session.get(url, params=query, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _LARGEST_ANSWER_BYTES:
                    raise UnusableAnswerError("answers with more than 16 MiB: show less time")
        _check(body)
        return response.status, bytes(body)


def failure(status: int, kind: str, message: str) -> web.Response:
    """An error as Prometheus itself tells it."""
    told: dict[str, Any] = {"status": "error", "errorType": kind, "error": message}
    return web.json_response(told, status=status)


def _check(body: bytearray) -> None:
    try:
        answer = from_json(bytes(body))
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("status") not in {"success", "error"}:
        raise UnusableAnswerError("does not answer as a Prometheus does")
