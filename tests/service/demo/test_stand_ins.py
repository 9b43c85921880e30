"""The upstream stand-ins fail exactly as they are told to."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from service.demo.stand_ins import serve_stand_in
from tests.conftest import RunningStandIn

DEFAULTS = {"mode": "ok", "latency_ms": 20, "jitter_ms": 5, "share": 1.0}
AT_ONCE = {"latency_ms": 0, "jitter_ms": 0}


@pytest.fixture
async def client(reviews: RunningStandIn) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(reviews.url, timeout=timeout) as session:
        yield session


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"mode": "sulk"}', "mode"),
        (b'{"mode": null}', "mode"),
        (b'{"latency_ms": -1}', "latency_ms"),
        (b'{"latency_ms": "20"}', "latency_ms"),
        (b'{"jitter_ms": -0.5}', "jitter_ms"),
        (b'{"jitter_ms": NaN}', "body"),
        (b'{"share": 1.01}', "share"),
        (b'{"share": -0.1}', "share"),
        (b'{"share": true}', "share"),
        (b'{"shares": 1}', "shares"),
        (b'{"mode": ', "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
    ],
)
async def test_a_wrong_behaviour_is_refused_by_name_and_changes_nothing(
    client: aiohttp.ClientSession, body: bytes, field: str
) -> None:
    async with client.put("/behaviour", data=body) as response:
        assert response.status == 422
        assert [fault["field"] for fault in (await response.json())["fields"]] == [field]

    assert await _json(client, "/behaviour") == DEFAULTS


async def test_a_change_keeps_what_it_does_not_mention(client: aiohttp.ClientSession) -> None:
    await client.put("/behaviour", json={"latency_ms": 7, "share": 0.5})

    async with client.put("/behaviour", json={"mode": "error"}) as response:
        changed = await response.json()

    assert changed == {"mode": "error", "latency_ms": 7, "jitter_ms": 5, "share": 0.5}
    assert await _json(client, "/behaviour") == changed


async def test_error_is_a_500_in_json(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="error", **AT_ONCE)

    async with client.get("/products/1/reviews") as response:
        assert response.status == 500
        assert "error" in await response.json()


async def test_too_many_requests_says_when_to_come_back(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="too_many_requests", **AT_ONCE)

    async with client.get("/products/1/reviews") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")


async def test_garbage_claims_to_be_json_and_is_not(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="garbage", **AT_ONCE)

    async with client.get("/products/1/reviews") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        with pytest.raises(ValueError):  # noqa: PT011 - either of two kinds
            json.loads(await response.read())


async def test_wrong_type_is_a_page(reviews: RunningStandIn, client: aiohttp.ClientSession) -> None:
    reviews.behave(mode="wrong_type", **AT_ONCE)

    async with client.get("/products/1/reviews") as response:
        assert (response.status, response.content_type) == (200, "text/html")


async def test_reset_cuts_the_connection(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="reset", **AT_ONCE)

    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await client.get("/products/1/reviews")


async def test_hang_never_answers_but_others_are_served(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="hang", **AT_ONCE)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.get("/products/1/reviews")

    assert await _json(client, "/health") == {"status": "healthy"}


async def test_drip_answers_and_then_gives_a_byte_now_and_then(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="drip", **AT_ONCE)

    async with client.get("/products/1/reviews") as response:
        assert response.status == 200
        first = await response.content.readexactly(3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await response.content.readexactly(50)

    assert first == b"[  "


@pytest.mark.parametrize("kind", ["reviews", "inventory"])
async def test_endless_looks_like_json_and_goes_on(
    kind: str, request: pytest.FixtureRequest
) -> None:
    stand_in: RunningStandIn = request.getfixturevalue(kind)
    stand_in.behave(mode="endless", **AT_ONCE)
    path = "/products/1/reviews" if kind == "reviews" else "/products/1"

    async with aiohttp.ClientSession(stand_in.url) as client, client.get(path) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        beginning = await response.content.readexactly(5_000_000)

    end = b"]" if kind == "reviews" else b"]}"
    assert json.loads(beginning[: beginning.rindex(b"},") + 1] + end)


async def test_a_share_of_requests_fails_and_the_rest_is_well(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="error", share=0.5, **AT_ONCE)

    statuses = [(await client.get("/products/1/reviews")).status for _ in range(100)]

    assert set(statuses) == {200, 500}


async def test_latency_delays_failures_too(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="error", latency_ms=300, jitter_ms=0)
    loop = asyncio.get_running_loop()

    started = loop.time()
    await client.get("/products/1/reviews")

    assert loop.time() - started >= 0.3


@pytest.mark.parametrize(
    "product_id", ["0", "10001", "123456789012345678", "x", "-1", "٣", "1" * 99]
)
async def test_an_unknown_product_is_a_404_in_json(
    reviews: RunningStandIn, inventory: RunningStandIn, product_id: str
) -> None:
    async with aiohttp.ClientSession() as client:
        for url in (
            f"{reviews.url}/products/{product_id}/reviews",
            f"{inventory.url}/products/{product_id}",
        ):
            async with client.get(url) as response:
                assert response.status == 404
                assert "error" in await response.json()


async def test_requests_for_products_are_counted_and_nothing_else(
    reviews: RunningStandIn, client: aiohttp.ClientSession
) -> None:
    reviews.behave(mode="error", **AT_ONCE)
    for path in ("/products/1/reviews", "/products/1/reviews", "/products/42/reviews", "/health"):
        await client.get(path)

    assert reviews.requests() == {"count": 3, "by_product": {"1": 2, "42": 1}}

    async with client.delete("/requests") as response:
        assert response.status == 204
    assert reviews.requests() == {"count": 0, "by_product": {}}


async def test_reviews_are_the_same_each_time(client: aiohttp.ClientSession) -> None:
    first, again = [await _json(client, "/products/1/reviews") for _ in range(2)]

    assert first == again
    assert all(set(r) == {"id", "author", "rating", "title", "text", "created_at"} for r in first)


async def test_every_kind_of_review_list_and_stock_there_is_occurs() -> None:
    lists, stocks = [], []
    async with (
        serve_stand_in("reviews", "127.0.0.1", 0) as reviews_url,
        serve_stand_in("inventory", "127.0.0.1", 0) as inventory_url,
        aiohttp.ClientSession() as client,
    ):
        for url in (reviews_url, inventory_url):
            await client.put(f"{url}/behaviour", json=AT_ONCE)
        for product_id in range(1, 201):
            lists.append(await _json(client, f"{reviews_url}/products/{product_id}/reviews"))
            stocks.append(await _json(client, f"{inventory_url}/products/{product_id}"))

    assert {len(reviews) for reviews in lists} == set(range(9))
    assert {review["rating"] for reviews in lists for review in reviews} == {1, 2, 3, 4, 5}
    assert {stock["in_stock"] for stock in stocks} == {True, False}
    for stock in stocks:
        assert stock["quantity"] == sum(place["quantity"] for place in stock["warehouses"])
        assert stock["in_stock"] == (stock["quantity"] > 0)
        assert datetime.fromisoformat(stock["updated_at"]).tzinfo is not None


async def _json(client: aiohttp.ClientSession, url: str) -> Any:
    async with client.get(url) as response:
        assert response.status == 200
        return await response.json()
