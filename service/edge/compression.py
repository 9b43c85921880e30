"""gzip for large answers, without a price for clients that do not ask for it."""

import re

from starlette.middleware.gzip import GZipMiddleware

from middleware.asgi import ASGIApp, Receive, Scope, Send

GZIP_FROM_BYTES = 8 * 1024  # below, compressing costs more than it saves

_GZIP = re.compile(rb"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")  # unless it is asked not to


class Compression:
    """Starlette's GZipMiddleware, stepped around when it would only watch."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._gzip = GZipMiddleware(app, minimum_size=GZIP_FROM_BYTES, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and any(
            name == b"accept-encoding" and _GZIP.search(value) for name, value in scope["headers"]
        )
        await (self._gzip if asked else self.app)(scope, receive, send)
