"""Serves the preview: boards, what they ask Prometheus, and runbooks, where alerts' links lead."""

import asyncio
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from service.demo.hosting import end_signal, serving
from service.demo.preview import pages
from service.demo.preview.boards import Boards
from service.demo.preview.proxy import PATHS, Proxy, failure
from service.demo.preview.runbooks import INDEX, Runbooks

DEFAULT_PORT = 3000

_STATIC = Path(__file__).parent / "static"
_DASHBOARDS = Path(__file__).parents[3] / "dashboards"
_ONLY_GRAFANA = (
    "This is a page of Grafana's, such as its Explore for logs and traces, or there is no such "
    "page. The preview shows boards and runbooks; docker-compose.yml brings the whole Grafana."
)


class Preview:
    """Answers for pages and boards."""

    def __init__(self, boards: Boards, runbooks: Runbooks) -> None:
        self._boards = boards
        self._runbooks = runbooks

    async def list_boards(self, _: web.Request) -> web.Response:
        """All boards as a page."""
        return _page(pages.boards_page(self._boards.summaries()))

    async def tell_boards(self, _: web.Request) -> web.Response:
        """What a board's links need of the others."""
        return web.json_response(self._boards.summaries())

    async def show_board(self, request: web.Request) -> web.Response:
        """One board's page."""
        board = self._boards.of(request.match_info["uid"])
        if board is None:
            raise web.HTTPNotFound(text="There is no such board; the list has all there are.")
        return _page(pages.board_page(board))

    async def tell_board(self, request: web.Request) -> web.Response:
        """One board as it was generated."""
        board = self._boards.of(request.match_info["uid"])
        if board is None:
            raise web.HTTPNotFound
        return web.json_response(board)

    async def list_runbooks(self, _: web.Request) -> web.Response:
        """All runbooks as a page."""
        introduction = self._runbooks.html_of(INDEX) or "<h1>Runbooks</h1>"
        return _page(pages.runbooks_page(introduction, self._runbooks.names()))

    async def show_runbook(self, request: web.Request) -> web.Response:
        """One runbook."""
        name = request.match_info["name"]
        html = self._runbooks.html_of(name)
        if html is None:
            raise web.HTTPNotFound(text="There is no such runbook; the list has all there are.")
        return _page(pages.runbook_page(name, html))


def create_preview(boards: Path, runbooks: Path, prometheus_url: str | None) -> web.Application:
    """The preview as an application: boards and runbooks from these folders."""
    preview, proxy = Preview(Boards(boards), Runbooks(runbooks)), Proxy(prometheus_url)
    app = web.Application(middlewares=[_with_headers, _told_errors])
    app.add_routes(
        [
            web.get("/", _to_boards),
            web.get("/health", _health),
            web.get("/dashboards", preview.list_boards),
            web.get("/boards.json", preview.tell_boards),
            web.get("/boards/{uid}.json", preview.tell_board),
            web.get(r"/{_:d|dashboards}/{uid}", preview.show_board),
            web.get(r"/{_:d|dashboards}/{uid}/{slug}", preview.show_board),
            web.get(f"{pages.RUNBOOKS}/", preview.list_runbooks),
            web.get(f"{pages.RUNBOOKS}/{{name}}.md", preview.show_runbook),
            web.get(f"/api/v1/{{path:{PATHS}}}", proxy.answer),
            web.static("/static", _STATIC),
        ]
    )
    return app


def serve_preview(
    host: str, port: int, prometheus_url: str | None
) -> AbstractAsyncContextManager[str]:
    """Serve this checkout's boards on the running loop and yield the base URL.

    Raises OSError when the port is taken.
    """
    folders = _DASHBOARDS / "generated", _DASHBOARDS / "runbooks"
    return serving(create_preview(*folders, prometheus_url), host, port)


def run_preview(host: str, port: int, prometheus_url: str | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises SystemExit, saying why, when the port is taken."""
    try:
        asyncio.run(_serve_until_told(host, port, prometheus_url))
    except OSError as error:
        raise SystemExit(f"The preview cannot listen: {error.strerror or error}") from None


async def _serve_until_told(host: str, port: int, prometheus_url: str | None) -> None:
    told = end_signal()
    async with serve_preview(host, port, prometheus_url):
        await told.wait()


async def _to_boards(_: web.Request) -> web.Response:
    raise web.HTTPFound("/dashboards")


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "healthy"})


def _page(html: str) -> web.Response:
    return web.Response(text=html, content_type="text/html")


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(pages.HEADERS)
    return response


@web.middleware
async def _told_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as pages, those of the API as Prometheus tells its own."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        title = HTTPStatus(error.status).phrase
        if request.path.startswith("/api/"):
            response = failure(
                error.status, "not_found", f"{title}: the preview hands on only what reads"
            )
        else:
            custom = error.text != f"{error.status}: {error.reason}"
            explanation = error.text if custom and error.text else _ONLY_GRAFANA
            response = _page(pages.error_page(title, explanation))
            response.set_status(error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
