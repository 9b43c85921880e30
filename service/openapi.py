"""The OpenAPI document and its pages, served without the internet."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from service.contracts import FieldFault, Problem

_ASSETS = "/docs-assets"

# Both pages are one inline script over their own assets.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "worker-src blob:; font-src 'self' data:; frame-ancestors 'none'"
}


def problems(*statuses: int) -> dict[int | str, Any]:
    """FastAPI's `responses` for problems with these statuses, and for any other."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described = {
        400: "The body is not what it says it is: no JSON, no image.",
        401: "No accepted API key.",
        404: "There is no such product, or no such version of the model.",
        413: "The body is too large, or the image has too many pixels.",
        422: "A parameter is not valid; `errors` says which.",
        429: "The rate limit is reached, or the model has too much to do; see `Retry-After`.",
        503: "What the answer needs is not there, or the service is full; see `Retry-After`.",
        504: "The model did not answer in time.",
    }
    answers: dict[int | str, Any] = {
        status: {"description": described[status], "content": content} for status in statuses
    }
    return answers | {"default": {"description": "Any other problem.", "content": content}}


def install_documentation(app: FastAPI) -> None:
    """Give `app` its `/openapi.json`, `/docs` and `/redoc`, with and without `/v1`."""
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's documented way
    assets = Path(str(files("fastapi_offline"))) / "static"
    app.mount(_ASSETS, StaticFiles(directory=assets), name="docs-assets")
    for prefix in ("/v1", ""):
        app.routes.extend(_pages(app, prefix).routes)


def _pages(app: FastAPI, prefix: str) -> APIRouter:
    router = APIRouter(prefix=prefix, include_in_schema=False)

    @router.get("/openapi.json")
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=f"{prefix}/openapi.json",
            title=app.title,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )
        return HTMLResponse(page.body, headers=_PAGE_HEADERS)

    @router.get("/redoc")
    async def redoc() -> HTMLResponse:
        page = get_redoc_html(
            openapi_url=f"{prefix}/openapi.json",
            title=app.title,
            redoc_js_url=f"{_ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{_ASSETS}/favicon.png",
            with_google_fonts=False,
        )
        return HTMLResponse(page.body, headers=_PAGE_HEADERS)

    return router


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _, schemas = models_json_schema(
            [(Problem, "serialization"), (FieldFault, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"] |= schemas["$defs"]
        app.openapi_schema = document
    return app.openapi_schema
