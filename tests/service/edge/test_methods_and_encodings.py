"""HEAD, OPTIONS and compression, on every path alike."""

import gzip

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from service.edge.compression import GZIP_FROM_BYTES
from tests.service.serving import PRODUCT, UNKNOWN, app_of, client_of

PATHS = ["/health", "/v1/health", PRODUCT, "/openapi.json", "/docs", "/redoc"]


@pytest.mark.parametrize("path", ["/nothing", UNKNOWN, "/product/x/enriched"])
def test_head_of_an_error_has_its_status_and_no_content(path: str) -> None:
    with client_of(app_of()) as client:
        got, head = client.get(path), client.head(path)

    assert head.status_code == got.status_code
    assert head.content == b""


@pytest.mark.parametrize("path", [*PATHS, "/docs-assets/favicon.png"])
def test_head_has_the_headers_of_get_and_no_content(path: str) -> None:
    with client_of(app_of()) as client:
        got, head = client.get(path), client.head(path)

    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "etag", "content-encoding", "vary"):
        assert head.headers.get(name) == got.headers.get(name), name


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs"])
def test_head_tells_the_length_that_get_would_have(path: str) -> None:
    with client_of(app_of()) as client:
        got, head = client.get(path), client.head(path)

    assert head.headers["content-length"] == got.headers["content-length"]


def test_options_of_an_unknown_path_is_a_404() -> None:
    with client_of(app_of()) as client:
        assert client.options("/nothing").status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "/docs-assets/favicon.png"])
def test_options_says_what_a_path_answers(path: str) -> None:
    with client_of(app_of()) as client:
        response = client.options(path)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


def test_options_of_a_path_that_only_takes_posts() -> None:
    app = app_of()

    @app.post("/notes")
    async def take() -> None: ...

    with client_of(app) as client:
        assert client.options("/notes").headers["allow"] == "OPTIONS, POST"
        assert client.head("/notes").status_code == 405


LARGE = b"0123456789abcdef" * (GZIP_FROM_BYTES // 16)


def _app_with_a_large_answer() -> FastAPI:
    app = app_of()

    @app.get("/large")
    async def large() -> Response:
        return Response(LARGE, headers={"ETag": 'W/"1"'})

    return app


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "identity, gzip; q=0.0"])
def test_nothing_is_compressed_for_those_who_do_not_want_it(accepted: str) -> None:
    with client_of(_app_with_a_large_answer()) as client:
        response = client.get("/large", headers={"Accept-Encoding": accepted})

    assert "content-encoding" not in response.headers
    assert response.content == LARGE


def test_a_small_answer_is_not_compressed() -> None:
    with client_of(app_of()) as client:
        response = client.get("/health", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip", "gzip;q=0.5", "deflate, gzip;q=1.0"])
def test_a_large_answer_is_compressed_and_says_so_to_caches(accepted: str) -> None:
    headers = {"Accept-Encoding": accepted}
    with (
        client_of(_app_with_a_large_answer()) as client,
        client.stream("GET", "/large", headers=headers) as response,
    ):
        sent = b"".join(response.iter_raw())

    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["vary"].lower() == "accept-encoding"
    assert response.headers["content-length"] == str(len(sent))
    assert gzip.decompress(sent) == LARGE


def test_head_of_a_compressed_answer_tells_its_length() -> None:
    headers = {"Accept-Encoding": "gzip"}
    with client_of(_app_with_a_large_answer()) as client:
        got, head = client.get("/large", headers=headers), client.head("/large", headers=headers)

    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
