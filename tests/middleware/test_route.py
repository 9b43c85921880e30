"""The template of what a request matched, whichever framework matched it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar
from litestar import get as litestar_get
from litestar.params import FromPath
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from middleware.asgi import ASGIApp, Receive, Scope, Send
from middleware.route import UNMATCHED, route_template

from .asgi_calls import hello

ORDERS, ORDERS_ROUTE = "/regions/eu/v1/orders", "/regions/{region}/v1/orders"


class Watched:
    """Remembers the scope of the last call, as it was afterwards."""

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self._app, self._root_path = app, root_path
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await self._app(scope, receive, send)

    def ask(self, path: str, method: str = "GET", host: str = "testserver") -> tuple[int, str]:
        """Status and template of a request."""
        client = TestClient(
            self,
            base_url=f"http://{host}",
            root_path=self._root_path,
            raise_server_exceptions=False,
            follow_redirects=False,
        )
        return client.request(method, path).status_code, route_template(self.scope)


def orders() -> APIRouter:
    router = APIRouter(prefix="/orders")

    @router.get("/{order_id}")
    async def order(order_id: int) -> int:
        return order_id

    @router.get("/{order_id}/boom")
    async def boom(order_id: int) -> int:
        raise ValueError(order_id)

    @router.websocket("/{order_id}/live")
    async def live(websocket: WebSocket) -> None:
        await websocket.close()

    return router


def fastapi_shop(folder: Path) -> FastAPI:
    app, sub = FastAPI(), FastAPI()
    regions = APIRouter(prefix="/{region}")
    regions.include_router(orders(), prefix="/v1")
    app.include_router(orders())
    app.include_router(regions, prefix="/regions")
    sub.include_router(orders(), prefix="/inner")
    app.mount("/tenants/{tenant}", sub)
    included = APIRouter()
    included.mount("/sub/{tenant}", sub)
    app.include_router(included, prefix="/included")
    app.mount("/static", StaticFiles(directory=folder))
    app.mount("/plain", hello)
    app.add_route("/starlette/{name}", say)
    return app


async def say(request: Request) -> Response:
    return PlainTextResponse(str(request.path_params))


def starlette_shop(folder: Path) -> Starlette:
    inner = Starlette(routes=[Route("/items/{item}", say), Route("/", say)])
    return Starlette(
        routes=[
            Route("/items/{item:int}", say),
            Route("/files/{file:path}", say),
            Route("/only-post", say, methods=["POST"]),
            Mount("/tenants/{tenant}", app=inner),
            Mount("/numbers/{number:int}", app=inner),
            Mount("/trees/{tree:path}/leaf", app=inner),
            Mount("/deep/{first}", routes=[Mount("/{second}", app=inner)]),
            Mount("/static", app=StaticFiles(directory=folder)),
            Mount("/plain/{name}", app=hello),
            Host("{shop}.example", app=inner),
        ]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "style.css").write_text("a {}")
    return tmp_path


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/orders/1", 200, "/orders/{order_id}"),
        ("GET", "/orders/x", 422, "/orders/{order_id}"),
        ("POST", "/orders/1", 405, "/orders/{order_id}"),
        ("GET", "/orders/1/boom", 500, "/orders/{order_id}/boom"),
        ("GET", "/orders/1/", 307, UNMATCHED),
        ("GET", "/nothing", 404, UNMATCHED),
        ("GET", "/regions/eu/v1/orders/1", 200, "/regions/{region}/v1/orders/{order_id}"),
        ("GET", "/regions/eu/v1/orders/x", 422, "/regions/{region}/v1/orders/{order_id}"),
        ("PUT", "/regions/eu/v1/orders/1", 405, "/regions/{region}/v1/orders/{order_id}"),
        ("GET", f"{ORDERS}/1/boom", 500, f"{ORDERS_ROUTE}/{{order_id}}/boom"),
        ("GET", "/tenants/acme/inner/orders/1", 200, "/tenants/{tenant}/inner/orders/{order_id}"),
        ("GET", "/tenants/1/inner/orders/1", 200, "/tenants/{tenant}/inner/orders/{order_id}"),
        ("GET", "/tenants/acme/inner/orders/x", 422, "/tenants/{tenant}/inner/orders/{order_id}"),
        ("GET", "/tenants/acme/nothing", 404, "/tenants/{tenant}/{path}"),
        ("GET", "/included/sub/a/openapi.json", 200, "/included/sub/{tenant}/{path}"),
        ("GET", "/static/style.css", 200, "/static/{path}"),
        ("GET", "/static/nothing.css", 404, "/static/{path}"),
        ("GET", "/plain/anything/at/all", 200, "/plain/{path}"),
        ("GET", "/starlette/name", 200, "/starlette/{name}"),
        ("GET", "/openapi.json", 200, "/openapi.json"),
    ],
)
def test_fastapi(
    folder: Path, root_path: str, method: str, path: str, status: int, route: str
) -> None:
    watched = Watched(fastapi_shop(folder), root_path)

    assert watched.ask(root_path + path, method) == (status, route)


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/items/7", 200, "/items/{item}"),
        ("GET", "/items/007", 200, "/items/{item}"),
        ("GET", "/files/a/b/c.txt", 200, "/files/{file}"),
        ("GET", "/only-post", 405, "/only-post"),
        ("GET", "/items/x", 404, UNMATCHED),
        ("GET", "/items/7/", 307, UNMATCHED),
        ("GET", "/tenants/acme/items/7", 200, "/tenants/{tenant}/items/{item}"),
        ("GET", "/tenants/acme/", 200, "/tenants/{tenant}/"),
        ("GET", "/tenants/acme/nothing", 404, "/tenants/{tenant}/{path}"),
        ("GET", "/tenants/caf%C3%A9 x/items/7", 200, "/tenants/{tenant}/items/{item}"),
        ("GET", "/numbers/7/items/7", 200, "/numbers/{number}/items/{item}"),
        ("GET", "/numbers/007/items/7", 200, "/{number}/items/{item}"),
        ("GET", "/trees/a/b/c/leaf/items/7", 200, "/trees/{tree}/leaf/items/{item}"),
        ("GET", "/deep/1/2/items/3", 200, "/deep/{first}/{second}/items/{item}"),
        ("GET", "/deep/1/1/items/1", 200, "/deep/{first}/{second}/items/{item}"),
        ("GET", "/static/style.css", 200, "/static/{path}"),
        ("GET", "/plain/x/anything", 200, "/plain/{name}/{path}"),
    ],
)
def test_starlette(
    folder: Path, root_path: str, method: str, path: str, status: int, route: str
) -> None:
    watched = Watched(starlette_shop(folder), root_path)

    assert watched.ask(root_path + path, method) == (status, route)


@pytest.mark.no_cover
@pytest.mark.parametrize("shop", [fastapi_shop, starlette_shop])
def test_no_path_can_make_up_routes(folder: Path, shop: Any) -> None:
    watched = Watched(shop(folder))
    shapes = ["/{}", "/static/{}", "/tenants/{}/x", "/numbers/0{}/items/1", "/plain/{}/{}"]
    shapes += ["/trees/{}/{}/leaf/nothing", "/deep/{}/{}/items/1", "/orders/{}", "/starlette/{}"]

    for shape in shapes:
        routes = {watched.ask(shape.format(n, n + 1))[1] for n in range(100, 130)}

        assert len(routes) == 1, shape


def test_a_host_routes_as_any_other(folder: Path) -> None:
    watched = Watched(starlette_shop(folder))

    assert watched.ask("/items/7", host="acme.example") == (200, "/items/{item}")
    status, route = watched.ask("/whatever/x7", host="acme.example")
    assert (status, route.count("x7")) == (404, 0)


def test_websockets_have_routes_like_requests(folder: Path) -> None:
    watched = Watched(fastapi_shop(folder))

    client = TestClient(watched)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{ORDERS}/1/live"):
        pass

    assert route_template(watched.scope) == f"{ORDERS_ROUTE}/{{order_id}}/live"


def test_litestar() -> None:
    @litestar_get("/orders/{order_id:int}")
    async def order(order_id: FromPath[int]) -> int:
        return order_id

    shop: Any = Litestar([order], openapi_config=None)
    watched = Watched(shop)

    assert watched.ask("/orders/1") == (200, "/orders/{order_id}")
    assert watched.ask("/nothing")[0] == 404
    assert watched.ask("/nothing")[1] == UNMATCHED


def test_an_app_without_a_framework_has_no_routes() -> None:
    assert Watched(hello).ask("/anything") == (200, UNMATCHED)


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "path": "/a"},
        {"type": "http", "path": "/a", "route": object()},
        {"type": "http", "path": "/a", "route": "/a"},
        {"type": "http", "path": "/a", "path_params": {}, "endpoint": None},
        {"type": "http", "path": "/a", "route": None, "path_template": ""},
    ],
)
def test_a_scope_of_an_unknown_framework_makes_up_no_routes(scope: Scope) -> None:
    assert route_template(scope) in (UNMATCHED, "/{path}")
