"""`GET /product/{product_id}/enriched` as its consumers see it, with fakes behind the ports."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from middleware.asgi import Message
from service.app import create_app
from service.contracts import EnrichedProduct, Problem
from service.products.domain import Reason
from tests.fakes import (
    PATIENCE_SECONDS,
    PRODUCT_ID,
    FakeWorld,
    a_product,
    an_entry,
    fake_settings,
    known_facts,
    open_fake_adapters,
    remember,
)

PATH = "/v1/product/7/enriched"


def shop_of(world: FakeWorld, **settings: Any) -> FastAPI:
    return create_app(fake_settings(**settings), open_adapters=open_fake_adapters(world))


@pytest.fixture
def shop(world: FakeWorld) -> Iterator[TestClient]:
    with TestClient(shop_of(world)) as client:
        yield client


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_an_unknown_product_is_a_404_problem(shop: TestClient, prefix: str) -> None:
    response = shop.get(f"{prefix}/product/404/enriched", headers={"X-Request-ID": "r-1"})

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert (problem.status, problem.title, problem.request_id) == (404, "Not Found", "r-1")
    assert problem.detail == "There is no product 404."


@pytest.mark.parametrize("reason", Reason)
def test_without_the_catalogue_and_the_cache_it_is_a_503_problem_with_retry_after(
    shop: TestClient, world: FakeWorld, reason: Reason
) -> None:
    world.catalog.fail(reason)

    response = shop.get(PATH)

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    assert Problem.model_validate_json(response.content).status == 503


def test_a_request_over_its_budget_is_a_503_problem(world: FakeWorld) -> None:
    world.reviews.hang()
    impatient = {"url": "http://upstream.invalid", "timeout_seconds": 0.005}
    app = shop_of(world, request_budget_seconds=0.01, reviews=impatient, inventory=impatient)

    with TestClient(app) as shop:
        assert shop.get(PATH).status_code == 503


@pytest.mark.parametrize("product_id", ["0", "-1", "x", "1.5", str(2**63), "9" * 30])
def test_what_cannot_be_a_product_id_is_a_422_problem_and_nobody_is_asked(
    shop: TestClient, world: FakeWorld, product_id: str
) -> None:
    response = shop.get(f"/v1/product/{product_id}/enriched")

    assert response.status_code == 422
    problem = Problem.model_validate_json(response.content)
    assert problem.errors
    assert problem.errors[0].field == "path.product_id"
    assert world.calls() == [0, 0, 0]


def test_the_largest_product_id_is_one(shop: TestClient) -> None:
    assert shop.get(f"/v1/product/{2**63 - 1}/enriched").status_code == 404


@pytest.mark.parametrize("reason", Reason)
def test_failing_reviews_are_empty_and_the_sources_say_why(
    shop: TestClient, world: FakeWorld, reason: Reason
) -> None:
    world.reviews.fail(reason)

    response = shop.get(PATH)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"
    answer = response.json()
    assert answer["reviews"] == []
    assert statuses(answer) == {"product": "live", "reviews": "unavailable", "inventory": "live"}
    assert answer["sources"]["reviews"]["reason"] == reason


def test_failing_stock_is_an_empty_object(shop: TestClient, world: FakeWorld) -> None:
    world.stock.fail(Reason.TIMEOUT)

    answer = shop.get(PATH).json()

    assert answer["inventory"] == {}
    assert answer["sources"]["inventory"]["reason"] == "timeout"


def test_no_stock_known_looks_the_same_but_the_sources_tell_it_apart(
    shop: TestClient, world: FakeWorld
) -> None:
    world.stock.known.clear()

    answer = shop.get(PATH).json()

    assert answer["inventory"] == {}
    assert (answer["sources"]["inventory"]["status"], reasons(answer)) == ("live", {None})


def test_what_is_stale_stands_in_for_what_fails_and_must_be_asked_for_again(
    shop: TestClient, world: FakeWorld
) -> None:
    remember(world, an_entry(known_facts(age_seconds=60)))
    for source in world.apis:
        source.fail(Reason.CIRCUIT_OPEN)

    response = shop.get(PATH)

    assert response.headers["cache-control"] == "no-cache"
    assert set(statuses(response.json()).values()) == {"stale"}
    assert reasons(response.json()) == {"circuit_open"}
    assert response.json()["reviews"][0]["author"] == "Ada"


async def test_a_client_that_hangs_up_calls_the_sources_off(world: FakeWorld) -> None:
    for source in world.apis:
        source.hang()
    async with served(world) as api:
        visit = Visit(api)
        for source in world.apis:
            await source.until_called()

        visit.hang_up()

        for source in world.apis:
            await source.until_cancelled()
        assert await visit.status() == 499


async def test_a_client_that_hangs_up_takes_nothing_from_those_who_still_wait(
    world: FakeWorld,
) -> None:
    world.reviews.hang()
    async with served(world) as api:
        leader, follower = Visit(api), Visit(api)
        await world.reviews.until_called()

        leader.hang_up()
        assert await leader.status() == 499
        world.reviews.release()

        assert await follower.status() == 200
    assert world.calls() == [1, 1, 1]
    assert not world.reviews.cancelled.is_set()


async def test_a_server_that_cancels_a_request_is_not_told_of_a_disconnect(
    world: FakeWorld,
) -> None:
    world.catalog.hang()
    async with served(world) as api:
        visit = Visit(api)
        await world.catalog.until_called()

        visit.task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await visit.status()
        await world.catalog.until_cancelled()


async def test_a_body_that_grows_too_long_while_we_work_is_refused(world: FakeWorld) -> None:
    world.catalog.hang()
    async with served(world) as api:
        visit = Visit(api, body=b"x" * (1024 * 1024 + 1))

        assert await visit.status() == 413
        await world.catalog.until_cancelled()


async def test_a_connection_that_breaks_its_protocol_ends_the_request_with_its_error(
    world: FakeWorld,
) -> None:
    world.catalog.hang()
    async with served(world) as api:
        visit = Visit(api, broken=ConnectionResetError())

        with pytest.raises(ConnectionResetError):
            await visit.status()
        await world.catalog.until_cancelled()


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_the_answer_is_the_product_its_reviews_its_stock_and_where_they_came_from(
    shop: TestClient, prefix: str
) -> None:
    response = shop.get(f"{prefix}/product/7/enriched")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    EnrichedProduct.model_validate(answer)
    assert (answer["id"], answer["sku"], answer["name"]) == (7, "KIT-000007", "Kettle, 1.7 l")
    assert answer["price"] == {"amount": "129.90", "currency": "EUR"}
    assert [review["text"] for review in answer["reviews"]] == ["It boils. 🫖"]
    assert answer["inventory"]["quantity"] == 5
    assert statuses(answer) == {"product": "live", "reviews": "live", "inventory": "live"}
    assert reasons(answer) == {None}
    assert answer["processing_time_ms"] >= 0


def test_the_second_answer_comes_from_the_cache_and_says_so(
    shop: TestClient, world: FakeWorld
) -> None:
    first, second = shop.get(PATH), shop.get(PATH)

    assert set(statuses(second.json()).values()) == {"cached"}
    assert facts_of(second.json()) == facts_of(first.json())
    assert world.calls() == [1, 1, 1]


def test_a_complete_answer_may_be_kept_by_its_reader_for_as_long_as_it_is_fresh(
    shop: TestClient, world: FakeWorld
) -> None:
    remember(world, an_entry(known_facts(age_seconds=20.5)))

    assert shop.get(PATH).headers["cache-control"] in {f"private, max-age={s}" for s in range(10)}


def test_a_reader_who_has_the_product_already_is_told_so(shop: TestClient) -> None:
    tag = shop.get(PATH).headers["etag"]

    response = shop.get(PATH, headers={"If-None-Match": tag})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == tag
    assert response.headers["cache-control"].startswith("private, max-age=")
    assert "content-length" not in response.headers


@pytest.mark.parametrize("condition", ["*", '"other", {tag}', '{tag},W/"x"', "{strong}"])
def test_an_entity_tag_may_be_given_in_all_the_ways_of_the_rfc(
    shop: TestClient, condition: str
) -> None:
    tag = shop.get(PATH).headers["etag"]
    asked = condition.format(tag=tag, strong=tag.removeprefix("W/"))

    assert shop.get(PATH, headers={"If-None-Match": asked}).status_code == 304


def test_entity_tags_may_come_in_several_headers(shop: TestClient) -> None:
    tag = shop.get(PATH).headers["etag"]
    headers = [("If-None-Match", 'W/"other"'), ("If-None-Match", tag)]

    assert shop.get(PATH, headers=headers).status_code == 304


@pytest.mark.parametrize("other", ['W/"0000000000000000"', "", "nonsense"])
def test_a_reader_of_something_else_gets_the_product(shop: TestClient, other: str) -> None:
    assert shop.get(PATH, headers={"If-None-Match": other}).status_code == 200


def test_a_product_that_changed_has_another_entity_tag(shop: TestClient, world: FakeWorld) -> None:
    before = shop.get(PATH).headers["etag"]
    remember(world, an_entry(known_facts(product=a_product(name="new"))))

    assert shop.get(PATH, headers={"If-None-Match": before}).status_code == 200


def test_reviews_that_fail_are_not_the_same_as_no_reviews(
    shop: TestClient, world: FakeWorld
) -> None:
    world.reviews.known.clear()
    nobody_said_anything = shop.get(PATH).headers["etag"]
    world.cache.held.clear()
    world.cache.shared.clear()
    world.reviews.fail()

    response = shop.get(PATH, headers={"If-None-Match": nobody_said_anything})

    assert response.status_code == 200


def test_the_time_of_each_source_is_shown_in_the_browser(shop: TestClient) -> None:
    timings = server_timings(shop, PATH)

    assert set(timings) == {"total", "cache", "db", "reviews", "inventory"}
    assert all(spent_ms >= 0 for spent_ms in timings.values())


def test_sources_that_were_not_asked_cost_no_time(shop: TestClient) -> None:
    shop.get(PATH)

    assert set(server_timings(shop, PATH)) == {"total", "cache"}


@pytest.mark.parametrize(("path", "status"), [
    (PATH, 200),
    ("/v1/product/404/enriched", 404),
])  # fmt: skip
def test_head_has_the_headers_of_get_and_no_body(shop: TestClient, path: str, status: int) -> None:
    full, head = shop.get(path), shop.head(path)

    assert (head.status_code, head.content) == (status, b"")
    for name in ("content-type", "etag"):
        assert head.headers.get(name) == full.headers.get(name)
    assert int(head.headers["content-length"]) > 0


def test_other_methods_are_refused_with_the_ones_there_are(shop: TestClient) -> None:
    response = shop.post(PATH)

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


class Visit:
    """One request at ASGI level, begun at once; its client stays until it hangs up."""

    def __init__(self, api: "Api", body: bytes = b"", broken: Exception | None = None) -> None:
        self.sent: list[Message] = []
        self._body: bytes | None = body
        self._broken = broken
        self._gone = asyncio.Event()
        self.task = asyncio.create_task(api(self._receive, self._send, chunked=bool(body)))

    def hang_up(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def status(self) -> int:
        """The status of the response, when it is complete."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task
        return int(self.sent[0]["status"])

    async def _receive(self) -> Message:
        if self._broken:
            raise self._broken
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


class Api:
    """The application, its lifespan begun."""

    def __init__(self, app: FastAPI, state: Any) -> None:
        self.app = app
        self.state = state

    async def __call__(self, receive: Any, send: Any, *, chunked: bool) -> None:
        """Answer one GET of the product."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/v1/product/{PRODUCT_ID}/enriched",
            "raw_path": b"",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"transfer-encoding", b"chunked")] if chunked else [],
            "client": ("192.0.2.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": dict(self.state),
        }
        await self.app(scope, receive, send)


@asynccontextmanager
async def served(world: FakeWorld) -> AsyncIterator[Api]:
    app = shop_of(world)
    async with app.router.lifespan_context(app) as state:
        yield Api(app, state)


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {name: source["status"] for name, source in answer["sources"].items()}


def reasons(answer: dict[str, Any]) -> set[str | None]:
    return {source["reason"] for source in answer["sources"].values()}


def facts_of(answer: dict[str, Any]) -> dict[str, Any]:
    told_anew = ("sources", "processing_time_ms")
    return {name: value for name, value in answer.items() if name not in told_anew}


def server_timings(shop: TestClient, path: str) -> dict[str, float]:
    metrics = shop.get(path).headers["server-timing"].split(",")
    pairs = (metric.strip().split(";dur=") for metric in metrics)
    return {name: float(spent_ms) for name, spent_ms in pairs}


def test_an_unknown_part_cannot_be_included(shop: TestClient) -> None:
    assert shop.get(f"{PATH}?include=weather").status_code == 422


def test_what_reviews_say_is_told_to_who_asks(shop: TestClient) -> None:
    plain, asked = shop.get(PATH), shop.get(f"{PATH}?include=review_sentiment")

    assert "review_sentiment" not in plain.json()
    assert "sentiment" not in plain.json()["sources"]
    answer = EnrichedProduct.model_validate_json(asked.content)
    assert answer.review_sentiment is not None
    assert (answer.review_sentiment.positive_share, answer.review_sentiment.count) == (1.0, 1)
    assert answer.sources["sentiment"].status == "live"
    assert plain.headers["etag"] != asked.headers["etag"]
