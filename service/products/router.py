"""HTTP in, the use case, the contract out; no decisions."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from service.contracts import EnrichedProduct
from service.products.answers import Answer
from service.products.domain import ProductId, Source, Status
from service.products.enricher import ProductEnricher
from service.products.representation import answer_body, entity_tag

_TIMED_AS = {Source.PRODUCT: "db", Source.REVIEWS: "reviews", Source.INVENTORY: "inventory"}

_NOT_MODIFIED: dict[int | str, Any] = {
    304: {"description": "The entity tag in If-None-Match still holds."}
}

ProductIdPath = Annotated[
    int, Path(ge=1, le=2**63 - 1, description="The product's number.", examples=[1])
]


class ClientDisconnectedError(Exception):
    """The client hung up; nobody waits for the answer any more."""


def products_router(prefix: str, responses: dict[int | str, Any], guards: list[Any]) -> APIRouter:
    """The routes under `prefix`; `responses` are the problems that each may answer."""
    router = APIRouter(
        prefix=prefix, tags=["products"], dependencies=guards, include_in_schema=bool(prefix)
    )

    @router.get(
        "/product/{product_id}/enriched",
        response_model=EnrichedProduct,
        responses=_NOT_MODIFIED | responses,
        summary="One product with its reviews and its stock",
    )
    async def enriched_product(product_id: ProductIdPath, request: Request) -> Response:
        """Reviews and stock come from other services: when one fails, its part is empty or old,
        and `sources` says so."""
        started = time.perf_counter()
        enricher: ProductEnricher = request.state.enricher
        answer = enricher.remembered(ProductId(product_id))
        if answer is None:
            async with _cancelled_on_disconnect(request):
                answer = await enricher.enrich(ProductId(product_id))
        return _response(request, answer, started)

    return router


def _response(request: Request, answer: Answer, started: float) -> Response:
    tag = entity_tag(answer.facts, answer.reports)
    headers = {
        "ETag": tag,
        "Cache-Control": _cache_control(answer),
        "Server-Timing": _server_timing(answer),
    }
    asked_for = [value for name, value in request.scope["headers"] if name == b"if-none-match"]
    if asked_for and _matches(b",".join(asked_for).decode("latin-1"), tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    spent_ms = (time.perf_counter() - started) * 1e3
    body = answer_body(answer.facts, answer.reports, spent_ms)
    return Response(body, headers=headers, media_type="application/json")


def _cache_control(answer: Answer) -> str:
    if answer.complete:
        # Private: a shared cache before us would hide who asks, and how often.
        return f"private, max-age={max(0, int(answer.fresh_seconds))}"
    return "no-cache"


def _server_timing(answer: Answer) -> str:
    spent = [f"cache;dur={answer.cache_ms:.3f}"]
    for source, report in answer.reports.items():
        if report.status is not Status.CACHED:
            spent.append(f"{_TIMED_AS[source]};dur={report.latency_ms:.3f}")
    return ", ".join(spent)


def _matches(if_none_match: str, tag: str) -> bool:
    tags = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags


@asynccontextmanager
async def _cancelled_on_disconnect(request: Request) -> AsyncIterator[None]:
    """Cancel the block when the client hangs up, as ClientDisconnectedError."""
    work = asyncio.current_task()
    assert work is not None
    end: Exception | None = None

    async def watch() -> None:
        nonlocal end
        try:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            end = ClientDisconnectedError()
        except Exception as error:  # noqa: BLE001 - a refused body: it belongs to the request
            end = error
        work.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if end is not None and work.uncancel() == 0:
            raise end from None
        raise
    finally:
        watcher.cancel()
