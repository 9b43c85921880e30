"""Every error is a problem (RFC 9457), and none tells what is inside."""

import json
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from service.contracts import Problem
from service.products.domain import ProductNotFoundError, ProductUnavailableError
from tests.fakes import PRODUCT_ID, FakeWorld
from tests.service.serving import PRODUCT, UNKNOWN, BrokenCatalog, app_of, client_of

JSON = {"Content-Type": "application/json"}
INSIDE = (
    "Traceback (most recent call last)",
    "SELECT id FROM products WHERE secret = 'hunter2'",
    "/srv/stallscope/service/app.py",
    "db-7.internal.example:5432",
    "postgresql://admin:hunter2@db-7/products",
)
GIVEN_AWAY = (
    "Traceback", "SELECT", "hunter2", "/srv", ".py", "db-7", "postgresql", "RuntimeError", "line ",
)  # fmt: skip


class Order(BaseModel):
    pieces: int = Field(ge=1)
    note: str = Field(max_length=5)


def app_with_orders() -> FastAPI:
    app = app_of()

    @app.post("/orders")
    async def take(order: Order) -> None: ...

    return app


def problem_in(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    Problem.model_validate(problem)
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


class DatabaseError(Exception):
    """Says more than anybody outside should know."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(*INSIDE),
        DatabaseError("\n".join(INSIDE)),
        ExceptionGroup("at " + INSIDE[3], [OSError(2, *INSIDE[2:4])]),
        KeyError(INSIDE[4]),
        ValueError(*INSIDE),
        AssertionError(INSIDE[1]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_error_is_a_500_that_tells_nothing_but_its_id(error: Exception) -> None:
    error.add_note(INSIDE[2])
    with client_of(app_of(FakeWorld(BrokenCatalog(error)))) as client:
        response = client.get(PRODUCT, headers={"X-Request-ID": "call-1"})

    problem = problem_in(response)
    assert (response.status_code, problem["request_id"]) == (500, "call-1")
    for word in GIVEN_AWAY:
        assert word not in response.text
        assert word not in str(response.headers)


def test_an_error_of_a_route_is_a_500_that_tells_nothing() -> None:
    app = app_of()

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError(*INSIDE) from OSError(*INSIDE)

    with client_of(app) as client:
        response = client.get("/broken")

    assert response.status_code == 500
    assert set(problem_in(response)) == {"type", "title", "status", "detail", "request_id"}
    assert not [word for word in GIVEN_AWAY if word in response.text]


def test_after_an_unexpected_error_the_service_goes_on() -> None:
    with client_of(app_of(FakeWorld(BrokenCatalog(RuntimeError())))) as client:
        statuses = [client.get(path).status_code for path in (PRODUCT, "/health", PRODUCT)]

    assert statuses == [500, 200, 500]


def test_a_database_that_is_away_is_a_503_that_does_not_say_where_it_was() -> None:
    world = FakeWorld()
    world.catalog.fail()
    with client_of(app_of(world)) as client:
        response = client.get(PRODUCT)

    problem = problem_in(response)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert problem["detail"] == str(ProductUnavailableError(PRODUCT_ID))


@pytest.mark.parametrize(
    "path", ["/", "/v2/health", "/wp-admin.php", "/product", "/health/more", "/%00", "/%ff", "//"]
)
def test_an_unknown_path_is_a_404(path: str) -> None:
    with client_of(app_of()) as client:
        response = client.get(path)

    assert response.status_code == 404
    assert problem_in(response)["title"] == "Not Found"


def test_an_unknown_path_is_not_repeated() -> None:
    with client_of(app_of()) as client:
        response = client.get("/<script>alert(1)</script>")

    assert "script" not in response.text


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/stalls", "/inflight"])
def test_what_operators_see_is_not_on_this_port(path: str) -> None:
    with client_of(app_of()) as client:
        assert client.get(path).status_code == 404


def test_an_unknown_product_is_a_404_that_names_it() -> None:
    with client_of(app_of()) as client:
        response = client.get(UNKNOWN)

    assert response.status_code == 404
    assert problem_in(response)["detail"] == "There is no product 404."
    assert ProductNotFoundError.__name__ not in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/health", PRODUCT, "/docs", "/docs-assets/favicon.png"])
def test_another_method_is_a_405_that_says_which_there_are(method: str, path: str) -> None:
    with client_of(app_of()) as client:
        response = client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert "GET, HEAD, OPTIONS" in problem_in(response)["detail"]


@pytest.mark.parametrize(
    "given",
    ["abc", "0", "-1", "1.5", "9223372036854775808", "1" * 5000, "%00", "null", "1%20OR%201"],
)
def test_a_product_number_that_is_none_is_a_422_that_names_the_field(given: str) -> None:
    with client_of(app_of()) as client:
        response = client.get(f"/product/{given}/enriched")

    problem = problem_in(response)
    assert response.status_code == 422
    assert [fault["field"] for fault in problem["errors"]] == ["path.product_id"]
    assert problem["errors"][0]["message"] in problem["detail"]


def test_all_wrong_fields_of_a_body_are_listed() -> None:
    with client_of(app_with_orders()) as client:
        response = client.post("/orders", json={"pieces": 0, "note": "far too long"})

    assert response.status_code == 422
    fields = [fault["field"] for fault in problem_in(response)["errors"]]
    assert fields == ["body.pieces", "body.note"]


@pytest.mark.parametrize("pieces", ["hunter2", ["hunter2"], {"hunter2": 1}, None])
def test_a_422_never_sends_back_what_was_sent(pieces: object) -> None:
    with client_of(app_with_orders()) as client:
        response = client.post("/orders", json={"pieces": pieces, "note": "hunter2"})

    assert response.status_code == 422
    assert "hunter2" not in response.text
    assert not {"input", "ctx", "url"} & set(problem_in(response)["errors"][0])


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b'{"pieces": hunter2}', b"\xff\xfe", b"\x00", b"[" * 100_000, b'{"pieces": 1} x'],
)
def test_a_body_that_is_no_json_is_a_client_error(body: bytes) -> None:
    with client_of(app_with_orders()) as client:
        response = client.post("/orders", content=body, headers=JSON)

    problem_in(response)
    assert response.status_code == (400 if body else 422)
    assert "hunter2" not in response.text


@pytest.mark.parametrize("number", [b"NaN", b"1e400", b"1" + b"0" * 5000])
def test_a_number_beyond_all_numbers_is_a_client_error(number: bytes) -> None:
    with client_of(app_with_orders()) as client:
        body = b'{"note": "", "pieces": %b}' % number
        response = client.post("/orders", content=body, headers=JSON)

    problem_in(response)
    assert response.status_code in (400, 422)


def test_headers_of_an_http_error_stay() -> None:
    app = app_of()

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "I am a teapot.", {"X-Spout": "short"})

    with client_of(app) as client:
        response = client.get("/teapot")

    assert (response.status_code, response.headers["x-spout"]) == (418, "short")
    assert problem_in(response)["detail"] == "I am a teapot."


def test_problems_are_compact_json_in_utf_8() -> None:
    with client_of(app_of()) as client:
        body = client.get("/nothing").content

    assert json.loads(body.decode("utf-8"))["type"] == "about:blank"
