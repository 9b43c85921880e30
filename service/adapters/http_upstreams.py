"""The reviews and inventory APIs over HTTP: pooled, bounded, retried once, behind a circuit."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, TypeVar

import aiohttp
from pydantic import AwareDatetime, BaseModel, Field, NonNegativeInt, TypeAdapter, ValidationError
from yarl import URL

from service.adapters.circuit_breaker import CircuitBreaker, CircuitOpenError
from service.products.domain import Inventory, ProductId, Reason, Review, Warehouse
from service.products.ports import SourceError
from service.settings import UpstreamSettings

MAX_ANSWER_BYTES = 1024 * 1024
MAX_CONNECTIONS = 100
_RETRY_JITTER_SECONDS = 0.02
_DEFAULT_RETRY_AFTER_SECONDS = 1.0

Answer = TypeVar("Answer")


class _TransientError(SourceError):
    """Asking again may help, and asking twice does no harm: every call here is a GET."""


@asynccontextmanager
async def open_session(
    settings: UpstreamSettings, trace_configs: Sequence[aiohttp.TraceConfig] = ()
) -> AsyncIterator[aiohttp.ClientSession]:
    """One session for the life of the process."""
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=30, keepalive_timeout=30)
    # The total is kept by HttpUpstream.get, over both attempts.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_seconds)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers={"Accept": "application/json", "User-Agent": "stallscope"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=list(trace_configs),
    ) as session:
        # aiohttp would repeat a GET by itself whose connection broke, and our retry doubles that.
        session._retry_connection = False
        yield session


class HttpUpstream:
    """GET one JSON document from an upstream, or learn why not."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: UpstreamSettings,
        breaker: CircuitBreaker,
    ) -> None:
        self._session = session
        self._base = URL(str(settings.url).rstrip("/"))
        self._timeout_seconds = settings.timeout_seconds
        self._breaker = breaker

    async def get(self, path: str, shape: TypeAdapter[Answer]) -> Answer | None:
        """The document, parsed; None when the upstream does not know it (404).

        Takes `timeout_seconds` at most, both attempts together. Raises SourceError.
        """
        try:
            with self._breaker.call(SourceError, TimeoutError):
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._get_with_retry(self._base / path, shape)
        except CircuitOpenError:
            raise SourceError(Reason.CIRCUIT_OPEN) from None
        except TimeoutError as error:
            raise SourceError(Reason.TIMEOUT) from error

    async def _get_with_retry(self, url: URL, shape: TypeAdapter[Answer]) -> Answer | None:
        try:
            return await self._get_once(url, shape)
        except _TransientError:
            await asyncio.sleep(random.uniform(0, _RETRY_JITTER_SECONDS))
            return await self._get_once(url, shape)

    async def _get_once(self, url: URL, shape: TypeAdapter[Answer]) -> Answer | None:
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return None
                self._check(response)
                return shape.validate_json(await _bounded_body(response))
        except aiohttp.ServerTimeoutError as error:
            raise SourceError(Reason.TIMEOUT) from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, ValidationError) as error:
            raise SourceError(Reason.BAD_RESPONSE) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _TransientError(Reason.UNREACHABLE) from error

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._breaker.open_for(_retry_after_seconds(response))
            raise SourceError(Reason.BAD_RESPONSE)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _TransientError(Reason.BAD_RESPONSE)
        if response.status != HTTPStatus.OK or response.content_type != "application/json":
            raise SourceError(Reason.BAD_RESPONSE)


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise SourceError(Reason.BAD_RESPONSE)
    return bytes(body)


def _retry_after_seconds(response: aiohttp.ClientResponse) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:  # a date, or nothing
        return _DEFAULT_RETRY_AFTER_SECONDS


class _WireReview(BaseModel):
    id: int
    author: str
    rating: Annotated[int, Field(ge=1, le=5)]
    title: str
    text: str
    created_at: AwareDatetime


class _WireWarehouse(BaseModel):
    code: str
    quantity: NonNegativeInt


class _WireInventory(BaseModel):
    in_stock: bool
    quantity: NonNegativeInt
    warehouses: list[_WireWarehouse]
    updated_at: AwareDatetime


_REVIEWS = TypeAdapter(list[_WireReview])
_INVENTORY = TypeAdapter(_WireInventory)


class HttpReviews:
    """`GET /products/{id}/reviews`."""

    def __init__(self, upstream: HttpUpstream) -> None:
        self._upstream = upstream

    async def reviews(self, product_id: ProductId) -> tuple[Review, ...]:
        """All reviews of a product, none when it is not known there. Raises SourceError."""
        found = await self._upstream.get(f"products/{product_id}/reviews", _REVIEWS)
        return tuple(Review(**dict(each)) for each in found or ())


class HttpStock:
    """`GET /products/{id}` of the inventory API."""

    def __init__(self, upstream: HttpUpstream) -> None:
        self._upstream = upstream

    async def inventory(self, product_id: ProductId) -> Inventory | None:
        """The stock, None when the product is not known there. Raises SourceError."""
        found = await self._upstream.get(f"products/{product_id}", _INVENTORY)
        if found is None:
            return None
        warehouses = tuple(Warehouse(each.code, each.quantity) for each in found.warehouses)
        return Inventory(found.in_stock, found.quantity, warehouses, found.updated_at)
