"""HTTP in, the use case, the contract out; no decisions."""

import time
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from service.contracts import EnrichedProduct
from service.edge.disconnects import cancelled_on_disconnect
from service.products.answers import Answer
from service.products.domain import ProductId, Source, Status
from service.products.enricher import ProductEnricher
from service.products.opinions import Opinions
from service.products.representation import answer_body, entity_tag

_TIMED_AS = {
    Source.PRODUCT: "db",
    Source.REVIEWS: "reviews",
    Source.INVENTORY: "inventory",
    Source.SENTIMENT: "model",
}

_NOT_MODIFIED: dict[int | str, Any] = {
    304: {"description": "The entity tag in If-None-Match still holds."}
}

ProductIdPath = Annotated[
    int, Path(ge=1, le=2**63 - 1, description="The product's number.", examples=[1])
]


_INCLUDE: TypeAdapter[Literal["review_sentiment"]] = TypeAdapter(Literal["review_sentiment"])
_INCLUDE_PARAMETER = {
    "in": "query",
    "name": "include",
    "required": False,
    "schema": _INCLUDE.json_schema(),
    "description": "What the reviews say on the whole, by the sentiment model.",
}


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
        openapi_extra={"parameters": [_INCLUDE_PARAMETER]},
    )
    async def enriched_product(product_id: ProductIdPath, request: Request) -> Response:
        """Reviews and stock come from other services: when one fails, its part is empty or old,
        and `sources` says so."""
        started = time.perf_counter()
        enricher: ProductEnricher = request.state.enricher
        answer = enricher.remembered(ProductId(product_id))
        if answer is None:
            async with cancelled_on_disconnect(request):
                answer = await enricher.enrich(ProductId(product_id))
        if _is_opinion_asked_for(request):
            opinions: Opinions = request.state.opinions
            answer = await opinions.added_to(answer)
        return _response(request, answer, started)

    return router


def _is_opinion_asked_for(request: Request) -> bool:
    # Read here, since a query parameter of FastAPI's costs every request 30 µs.
    asked = request.query_params.get("include") if request.scope["query_string"] else None
    if asked is None:
        return False
    try:
        return bool(_INCLUDE.validate_python(asked))
    except ValidationError as error:
        where = ("query", "include")
        raise RequestValidationError([{**each, "loc": where} for each in error.errors()]) from None


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
