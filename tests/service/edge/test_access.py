"""Who may call, and how often."""

import hashlib
import time
from typing import Any

import pytest

from middleware.asgi import ASGIApp, Receive, Scope, Send
from service.adapters.rate_limits import MovingWindowLimits
from tests.fakes import fake_settings
from tests.service.serving import PRODUCT, UNKNOWN, app_of, client_of

OPEN_PATHS = [
    "/health",
    "/v1/health",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/docs-assets/favicon.png",
]


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


KEYS: dict[str, Any] = {"api_keys": frozenset({digest_of("first"), digest_of("second")})}


class Refusing:
    """A rate limiter that has had enough, and remembers of whom."""

    def __init__(self, retry_in_seconds: float) -> None:
        self.retry_in_seconds = retry_in_seconds
        self.callers: list[str] = []

    async def hit(self, caller: str) -> float | None:
        """Refuse."""
        self.callers.append(caller)
        return time.time() + self.retry_in_seconds


class FromAnywhere:
    """Lets requests come from the address in their header X-From."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            address = dict(scope["headers"])[b"x-from"].decode()
            scope = {**scope, "client": (address, 50_000)}
        await self.app(scope, receive, send)


HERE, THERE = {"X-From": "192.0.2.1"}, {"X-From": "192.0.2.2"}

WRONG_KEYS: dict[str, dict[str, str]] = {
    "missing": {},
    "empty": {"X-API-Key": ""},
    "wrong": {"X-API-Key": "third"},
    "the digest itself": {"X-API-Key": digest_of("first")},
    "in capitals": {"X-API-Key": "FIRST"},
    "the beginning": {"X-API-Key": "firs"},
    "both": {"X-API-Key": "first,second"},
    "in another header": {"Authorization": "Bearer first"},
    "very long": {"X-API-Key": "x" * 50_000},
}


@pytest.mark.parametrize("headers", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_without_an_accepted_key_the_answer_is_401(headers: dict[str, str]) -> None:
    with client_of(app_of(**KEYS)) as client:
        response = client.get(PRODUCT, headers=headers)

    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"]


def test_all_refusals_read_the_same() -> None:
    near = digest_of("first")[:-1]
    with client_of(app_of(**KEYS)) as client:
        headers = [{}, {"X-API-Key": "third"}, {"X-API-Key": near}, {"X-API-Key": "first "[:-2]}]
        problems = [client.get(PRODUCT, headers=each).json() for each in headers]

    for problem in problems:
        del problem["request_id"]
    assert problems == [problems[0]] * len(problems)
    assert "first" not in str(problems)
    assert digest_of("first")[:8] not in str(problems)


def test_a_key_is_asked_for_before_anything_is_said_about_the_request() -> None:
    with client_of(app_of(**KEYS)) as client:
        unknown = client.get(UNKNOWN)
        malformed = client.get("/product/x/enriched")

    assert unknown.status_code == 401
    assert malformed.status_code == 401


@pytest.mark.parametrize("key", ["first", "second"])
def test_each_accepted_key_opens(key: str) -> None:
    with client_of(app_of(**KEYS)) as client:
        assert client.get(PRODUCT, headers={"X-API-Key": key}).status_code == 200


def test_a_key_may_have_letters_beyond_ascii() -> None:
    with client_of(app_of(api_keys=frozenset({digest_of("schlüssel")}))) as client:
        response = client.get(PRODUCT, headers={b"X-API-Key": "schlüssel".encode()})

    assert response.status_code == 200


def test_the_digest_of_nothing_is_not_a_key() -> None:
    with client_of(app_of(api_keys=frozenset({digest_of("")}))) as client:
        assert client.get(PRODUCT).status_code == 401


def test_the_alias_without_a_version_is_guarded_too() -> None:
    with client_of(app_of(**KEYS)) as client:
        assert client.get("/product/7/enriched").status_code == 401
        assert client.head("/product/7/enriched").status_code == 401


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_health_and_documentation_stay_open(path: str) -> None:
    with client_of(app_of(rate_limiter=Refusing(1), rate_limit="1/hour", **KEYS)) as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(("seconds", "told"), [(0.2, 1), (-5, 1), (29.3, 30)])
def test_a_429_says_when_to_come_back_in_whole_seconds(seconds: float, told: int) -> None:
    app = app_of(rate_limiter=Refusing(seconds), rate_limit="1/hour")
    with client_of(app) as client:
        response = client.get(PRODUCT)

    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == str(told)


def test_refusals_are_counted_from_0() -> None:
    app = app_of(rate_limiter=Refusing(1), rate_limit="1/hour")
    counts = [_refusals(app.state.registry)]
    with client_of(app) as client:
        for _ in range(2):
            client.get(PRODUCT)
            counts.append(_refusals(app.state.registry))

    assert counts == [0, 1, 2]


def test_addresses_have_a_rate_each() -> None:
    with client_of(FromAnywhere(_limited_app("2/hour"))) as client:
        ours = [client.get(PRODUCT, headers=HERE).status_code for _ in range(3)]
        theirs = [client.get(PRODUCT, headers=THERE).status_code for _ in range(3)]

    assert ours == theirs == [200, 200, 429]


def test_keys_have_a_rate_each_wherever_they_call_from() -> None:
    with client_of(FromAnywhere(_limited_app("2/hour", **KEYS))) as client:
        first = [
            client.get(PRODUCT, headers={"X-API-Key": "first", **where}).status_code
            for where in (HERE, THERE, HERE, THERE)
        ]
        second = client.get(PRODUCT, headers={"X-API-Key": "second", **HERE})

    assert first == [200, 200, 429, 429]
    assert second.status_code == 200


def test_an_address_is_the_connections_not_one_that_a_header_claims() -> None:
    with client_of(_limited_app("1/hour")) as client:
        statuses = [
            client.get(PRODUCT, headers={"X-Forwarded-For": f"192.0.2.{each}"}).status_code
            for each in range(2)
        ]

    assert statuses == [200, 429]


def test_a_limiter_never_sees_a_key_in_clear() -> None:
    limiter = Refusing(1)
    app = app_of(rate_limiter=limiter, rate_limit="1/hour", **KEYS)
    with client_of(app) as client:
        client.get(PRODUCT, headers={"X-API-Key": "first"})

    assert len(limiter.callers) == 1
    assert "first" not in limiter.callers[0]


def test_those_without_a_key_do_not_use_up_anybodys_rate() -> None:
    limiter = Refusing(1)
    app = app_of(rate_limiter=limiter, rate_limit="1/hour", **KEYS)
    with client_of(app) as client:
        assert client.get(PRODUCT).status_code == 401

    assert limiter.callers == []


def test_a_refusal_is_followed_by_an_answer_when_the_time_it_names_has_passed() -> None:
    app = _limited_app("1/second")
    with client_of(app) as client:
        statuses = [client.get(PRODUCT).status_code for _ in range(2)]
        deadline = time.monotonic() + 10
        while client.get(PRODUCT).status_code == 429:
            assert time.monotonic() < deadline

    assert statuses == [200, 429]


def _limited_app(rate: str, **overrides: Any) -> Any:
    parsed = fake_settings(rate_limit=rate).rate
    assert parsed is not None
    limits = MovingWindowLimits(parsed, None)
    return app_of(rate_limiter=limits, rate_limit=rate, **overrides)


def _refusals(registry: Any) -> float:
    value = registry.get_sample_value("rate_limited_requests_total", {"reason": "rate_limit"})
    assert isinstance(value, float)
    return value
