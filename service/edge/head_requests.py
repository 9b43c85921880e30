"""HEAD wherever there is GET (RFC 9110): the same work, the same headers, no content."""

from middleware.asgi import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Routes only know GET; a HEAD request reaches them as one, and its answer loses the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        as_get = {**scope, "method": "GET"}

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            else:  # who observes the request looks into its own scope for what was matched
                scope.update({**as_get, "method": "HEAD"})
            await send(message)

        await self.app(as_get, receive, send_without_body)
