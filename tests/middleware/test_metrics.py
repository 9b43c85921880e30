"""Requests as metrics: names, labels, buckets, exemplars, and no more series than there may be."""

import random
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from middleware.cells import HistogramFamily
from middleware.drops import Drops

from .asgi_calls import call, hello, http_scope, requests_only
from .observing import DURATION, Observed, observing, quiet_settings

SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
NOT_SAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"
SAMPLED = f"00-{'c' * 32}-{'b' * 16}-01"


@pytest.fixture
async def seen() -> AsyncIterator[Observed]:
    async with observing(requests_only(hello)) as observed:
        yield observed


def samples(seen: Observed, name: str) -> Iterator[Any]:
    for family in seen.telemetry.registry.collect():
        yield from (sample for sample in family.samples if sample.name == name)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (
            "http_server_request_duration_seconds_count",
            {"http_request_method", "http_route", "http_response_status_code"},
        ),
        ("http_server_request_body_size_bytes_count", {"http_request_method", "http_route"}),
        ("http_server_response_body_size_bytes_count", {"http_request_method", "http_route"}),
        ("http_server_active_requests", {"http_request_method"}),
        ("telemetry_dropped_total", {"signal"}),
    ],
)
async def test_a_metric_has_the_labels_of_the_contract(
    seen: Observed, name: str, labels: set[str]
) -> None:
    await call(seen.app, http_scope())

    assert {frozenset(sample.labels) for sample in samples(seen, name)} == {frozenset(labels)}


async def test_durations_have_the_buckets_that_the_conventions_advise(seen: Observed) -> None:
    await call(seen.app, http_scope())

    bounds = [float(sample.labels["le"]) for sample in samples(seen, f"{DURATION}_bucket")]
    assert bounds == [*SECONDS, float("inf")]


async def test_sizes_are_those_of_the_bodies() -> None:
    @requests_only
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await hello(scope, receive, send)

    async with observing(app) as seen:
        body = {"type": "http.request", "body": b"x" * 700, "more_body": True}
        await call(seen.app, http_scope(method="POST"), body, {**body, "more_body": False})

        labels = {"http_request_method": "POST", "http_route": "unmatched"}
        assert seen.metric("http_server_request_body_size_bytes_sum", **labels) == 1400
        assert seen.metric("http_server_response_body_size_bytes_sum", **labels) == 5


@pytest.mark.parametrize("method", ["get", "PURGE", "PROPFIND", "", "GET\n", "x" * 5000])
async def test_a_method_that_the_conventions_do_not_know_is_other(
    seen: Observed, method: str
) -> None:
    await call(seen.app, http_scope(method=method))

    assert seen.series == {("_OTHER", "unmatched", "200"): 1}


async def test_an_exemplar_leads_to_the_trace(seen: Observed) -> None:
    await call(seen.app, http_scope(headers=[("traceparent", SAMPLED)]))

    (exemplar,) = [s.exemplar for s in samples(seen, f"{DURATION}_bucket") if s.exemplar]
    assert exemplar.labels == {"trace_id": "c" * 32}


async def test_a_trace_that_was_kept_is_not_displaced_by_one_that_was_not(seen: Observed) -> None:
    for traceparent in (NOT_SAMPLED, SAMPLED, NOT_SAMPLED, NOT_SAMPLED):
        await call(seen.app, http_scope(headers=[("traceparent", traceparent)]))

    exemplars = [s.exemplar for s in samples(seen, f"{DURATION}_bucket") if s.exemplar]
    assert {"trace_id": "c" * 32} in [exemplar.labels for exemplar in exemplars]


def family(drops: Drops, max_label_sets: int = 3) -> HistogramFamily:
    return HistogramFamily(
        "h", "help", ("a", "b"), (1.0, 2.0), max_label_sets=max_label_sets, drops=drops
    )


def test_a_newer_kept_trace_displaces_an_older_one_in_its_bucket_only() -> None:
    cell = family(Drops(CollectorRegistry())).cell("x", "y")
    for value, trace in [
        (0.5, ("1", 0, True)),
        (0.6, ("2", 0, True)),
        (0.7, ("3", 0, False)),
        (1.5, ("4", 0, False)),
        (1.6, ("5", 0, False)),
    ]:
        cell.observe_traced(value, trace)

    exemplars = [exemplar for _, _, exemplar in cell.buckets()]
    assert [each and each.labels["trace_id"] for each in exemplars] == ["2", "5", None]


def test_a_bound_belongs_to_its_bucket_and_buckets_are_cumulative() -> None:
    cell = family(Drops(CollectorRegistry())).cell("x", "y")
    for value in (0.0, 1.0, 1.1, 2.0, 2.1):
        cell.observe(value)

    assert [(bound, count) for bound, count, _ in cell.buckets()] == [
        ("1.0", 2),
        ("2.0", 4),
        ("+Inf", 5),
    ]
    assert cell.sum == pytest.approx(6.2)


def test_one_label_set_too_many_is_other_and_counted() -> None:
    registry = CollectorRegistry()
    histogram = family(Drops(registry))
    cells = [histogram.cell(str(n), "y") for n in range(5)]

    assert cells[3] is cells[4] is histogram.cell("other", "other")
    assert histogram.cell("0", "y") is cells[0]
    assert registry.get_sample_value("telemetry_dropped_total", {"signal": "metrics"}) == 2


async def say(request: Request) -> Response:
    return PlainTextResponse("x", status_code=request.path_params.get("status", 200))


@pytest.mark.no_cover  # it takes three times as long with it
async def test_100_000_random_requests_make_a_bounded_number_of_series() -> None:
    chance = random.Random(7)
    app = Starlette(
        routes=[
            Route("/items/{item}", say),
            Route("/status/{status:int}", say),
            Mount("/tenants/{tenant}", routes=[Route("/items/{item}", say)]),
        ]
    )
    shapes = ["/{}", "/items/{}", "/tenants/{}/items/1", "/tenants/{}/x", "/status/0{}"]

    noises = [
        "".join(chance.choices('abz09-_.~\x7f\n"\\éß{}%', k=chance.randint(1, 30)))
        for _ in range(1_000)
    ]
    headers = [(name, noises[0]) for name in ("traceparent", "x-request-id", "user-agent")]

    settings = quiet_settings(max_label_sets=50, logs=False)
    async with observing(app, settings) as seen:
        for n in range(100_000):
            noise = f"{noises[n % 1_000]}{n}"
            method = ("GET", "POST", "HEAD", noise)[n % 7 % 4]
            path = shapes[n % 11 % 5].format(200 + n % 400 if n % 2 else noise)
            await call(seen.app, http_scope(path, method, headers))

        registered = list(seen.telemetry.registry.collect())
        series = seen.series
        assert sum(series.values()) == 100_000
        assert len(series) == 51
        assert {method for method, _, _ in series} <= {"GET", "POST", "HEAD", "_OTHER", "other"}
        assert {route for _, route, _ in series} <= {
            "unmatched",
            "other",
            "/items/{item}",
            "/status/{status}",
            "/tenants/{tenant}/items/{item}",
            "/tenants/{tenant}/{path}",
        }
        lost = seen.dropped("metrics")
        assert lost == series["other", "other", "other"]
        assert sum(1 for each in registered for _ in each.samples) < 3_000
        assert not seen.telemetry.in_flight


@pytest.fixture
async def asked(seen: Observed) -> Observed:
    for number in range(3):
        await call(seen.app, http_scope(f"/{number}", headers=[("traceparent", SAMPLED)]))
    return seen


async def test_the_text_format_says_it_all(asked: Observed) -> None:
    text = generate_latest(asked.telemetry.registry).decode()

    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert families[DURATION].type == "histogram"
    assert families["http_server_active_requests"].type == "gauge"
    assert families["telemetry_dropped"].type == "counter"
    assert all(each.documentation for each in families.values())


async def test_openmetrics_says_it_with_exemplars(asked: Observed) -> None:
    text = exposition.generate_latest(asked.telemetry.registry).decode()  # type: ignore[no-untyped-call]

    families = {each.name: each for each in parser.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    exemplars = [s.exemplar for s in families[DURATION].samples if s.exemplar]
    assert [each.labels for each in exemplars] == [{"trace_id": "c" * 32}] * len(exemplars)
    assert exemplars
    assert re.search(r"# EOF\n\Z", text)
