"""The ops port as an ASGI app: who may see which page, and what all answers have in common."""

import asyncio
import hmac
from collections.abc import Mapping
from email.utils import formatdate

import structlog

from ..asgi import Headers, Receive, Scope, Send
from .actions import Actions
from .answers import Answer, Page, problem

log = structlog.get_logger()

_METHODS = ("GET", "HEAD")
# What is asked for here changes by the second, and none of it is for third parties.
_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class OpsApp:
    """Answers with `pages`, which are found by their path; `/folder/*` has all files of a folder.

    With a token, only the public ones are for everybody.
    """

    def __init__(self, pages: Mapping[str, Page], actions: Actions, token: str | None) -> None:
        self._pages, self._actions = pages, actions
        self._authorization = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope)
        except asyncio.CancelledError:
            return  # the port closes, and this connection is closed already
        except Exception:
            log.exception("ops_page_failed", page=scope["path"])
            answer = problem(500, "This page could not be made; the log says why.")
        start = {"type": "http.response.start", "status": answer.status}
        await send(start | {"headers": _headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope) -> Answer:
        page = self._page(scope["path"])
        if not (page is not None and page.public) and not self._is_authorized(scope):
            return problem(401, "A bearer token is needed.", **{"WWW-Authenticate": "Bearer"})
        if scope["path"] in self._actions:
            return await self._act(scope)
        if page is None:
            return problem(404, f"There are: {' '.join(self._pages)}")
        if scope["method"] not in _METHODS:
            return problem(405, "Pages are for reading.", Allow=", ".join(_METHODS))
        return await page.answer(scope)

    async def _act(self, scope: Scope) -> Answer:
        if scope["method"] != "POST":
            return problem(405, "This does something: it takes a POST.", Allow="POST")
        return await self._actions.answer(scope)

    def _page(self, path: str) -> Page | None:
        return self._pages.get(path) or self._pages.get(f"{path.rpartition('/')[0]}/*")

    def _is_authorized(self, scope: Scope) -> bool:
        if self._authorization is None:
            return True
        given: bytes = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)


def _headers(answer: Answer) -> Headers:
    own = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Date": formatdate(usegmt=True),
    }
    every = {**own, **_ALWAYS, **answer.headers}
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in every.items()]
