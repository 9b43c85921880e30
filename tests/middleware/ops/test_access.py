"""The ops port is for reading, and with a token only for those who have it."""

import json

import pytest

from .asking import Answer, ops_port

TOKEN = "s3cret-token"
PAGES = ["/", "/metrics", "/livez", "/readyz", "/inflight"]
PROTECTED = ["/", "/metrics", "/inflight", "/nothing"]


@pytest.mark.parametrize("path", PROTECTED)
def test_without_the_token_there_is_nothing_to_see(path: str) -> None:
    with ops_port(token=TOKEN) as port:
        answer = Answer(port, path)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "metrics" not in answer.text


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"],
)
def test_a_wrong_token_is_none(authorization: str) -> None:
    with ops_port(token=TOKEN) as port:
        assert Answer(port, "/metrics", Authorization=authorization).status == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_token(path: str) -> None:
    with ops_port(token=TOKEN) as port:
        assert Answer(port, path).status in {200, 503}


@pytest.mark.parametrize("path", ["/", "/metrics", "/inflight"])
def test_with_the_token_all_is_there(path: str) -> None:
    with ops_port(token=TOKEN) as port:
        assert Answer(port, path, Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("path", ["/health", "/docs", "/metrics/", "/metrics/x", "//", "/%0a"])
def test_what_is_not_there_is_a_problem(path: str) -> None:
    with ops_port() as port:
        answer = Answer(port, path)

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["title"], answer.json()["status"]) == ("Not Found", 404)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_pages_are_for_reading(path: str, method: str) -> None:
    with ops_port() as port:
        answer = Answer(port, path, method)

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PAGES)
def test_head_asks_the_same_without_content(path: str) -> None:
    with ops_port() as port:
        head, got = Answer(port, path, "HEAD"), Answer(port, path)

    assert (head.status, head.body) == (got.status, b"")
    assert head.headers.keys() == got.headers.keys()


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_no_answer_is_kept_guessed_at_or_signed(path: str) -> None:
    with ops_port() as port:
        headers = Answer(port, path).headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["date"].endswith("GMT")
    assert "server" not in headers


def test_the_first_page_links_every_other_and_says_the_phase() -> None:
    with ops_port() as port:
        answer = Answer(port, "/")

    assert answer.headers["content-type"].startswith("text/html")
    assert "starting" in answer.text
    assert all(f'href="{path}"' in answer.text for path in PAGES[1:])


def test_a_problem_is_plain_json() -> None:
    with ops_port() as port:
        assert json.loads(Answer(port, "/nothing").body)["type"] == "about:blank"
