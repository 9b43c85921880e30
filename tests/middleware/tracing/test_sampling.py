"""The gate decides as the sampler would; a sampler of an adopter's own is asked once."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from middleware.exchange import Exchange
from middleware.signals.sampling import Gate, gate_of
from tests.middleware.otlp_receiver import OtlpReceiver

from .observing import call, header_of, http_scope, observed

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENTS = {"no": "", "a sampled": f"00-{TRACE}-b7ad6b7169203331-01"}
PARENTS["an unsampled"] = PARENTS["a sampled"].replace("-01", "-00")


class Recording(Sampler):
    """Samples what its answer says, and remembers what it was asked."""

    def __init__(self, *answers: SamplingResult) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def should_sample(  # noqa: PLR0913, PLR0917 - as Sampler has it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        self.asked.append({"name": name, "kind": kind, "parent": parent, **(attributes or {})})
        return self.answers.pop(0)

    def get_description(self) -> str:
        return "Recording"


def exchange(traceparent: str = "") -> Exchange:
    headers = [("traceparent", traceparent)] if traceparent else []
    return Exchange(http_scope("/items/3", headers=headers), _never, _never, lambda _: None)


async def _never(*_: Any) -> Any:
    raise AssertionError


def gate_from_environment() -> Gate:
    return gate_of(TracerProvider(shutdown_on_exit=False).sampler)


@pytest.mark.parametrize("parent", PARENTS)
@pytest.mark.parametrize(
    "sampler",
    [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
        "nonsense",
    ],
)
async def test_every_sampler_of_the_environment_decides_as_the_sdk_does(
    sampler: str, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    provider = TracerProvider(shutdown_on_exit=False)
    gate = gate_from_environment()

    for _ in range(50):
        request = exchange(PARENTS[parent])
        expected = provider.sampler.should_sample(
            _context(request), request.trace_id, "GET", SpanKind.SERVER
        )
        assert (gate(request) is not None) == (expected.decision is Decision.RECORD_AND_SAMPLE)


def _context(request: Exchange) -> Context:
    from middleware.signals.trace_context import parent_context  # noqa: PLC0415

    return parent_context(request)


async def test_a_ratio_is_kept_over_many_requests() -> None:
    gate, random, request = gate_of(TraceIdRatioBased(0.01)), Random(1), exchange()
    sampled = 0

    for _ in range(100_000):
        request.trace_hex = f"{random.getrandbits(128):032x}"
        sampled += gate(request) is not None

    assert 900 < sampled < 1100


async def test_our_own_trace_ids_are_spread_evenly() -> None:
    gate = gate_of(ParentBased(TraceIdRatioBased(0.1)))

    sampled = sum(gate(exchange()) is not None for _ in range(20_000))

    assert 1_800 < sampled < 2_200


async def test_a_sampler_of_an_adopters_own_sees_the_parent_and_the_request() -> None:
    sampler = Recording(SamplingResult(Decision.DROP))

    decision = gate_of(sampler)(exchange(PARENTS["a sampled"]))

    (asked,) = sampler.asked
    assert decision is None
    assert (asked["name"], asked["kind"], asked["url.path"]) == (
        "GET",
        SpanKind.SERVER,
        "/items/3",
    )
    assert asked["parent"].is_remote
    assert asked["parent"].span_id == 0xB7AD6B7169203331


async def test_a_parent_decides_before_a_root_sampler_is_asked() -> None:
    sampler = Recording(SamplingResult(Decision.RECORD_AND_SAMPLE))
    gate = gate_of(ParentBased(sampler))

    assert gate(exchange(PARENTS["an unsampled"])) is None
    assert gate(exchange(PARENTS["a sampled"])) is not None
    assert sampler.asked == []
    assert gate(exchange()) is not None


async def test_a_parent_based_sampler_with_other_delegates_is_asked_itself() -> None:
    delegate = Recording(SamplingResult(Decision.DROP))

    gate = gate_of(ParentBased(DEFAULT_ON, remote_parent_sampled=delegate))

    assert gate(exchange(PARENTS["a sampled"])) is None
    assert len(delegate.asked) == 1


async def test_a_sampler_is_asked_once_a_request_and_what_it_adds_is_in_the_span(
    collector: OtlpReceiver,
) -> None:
    from middleware.setup import tracing  # noqa: PLC0415

    sampler = Recording(
        SamplingResult(
            Decision.RECORD_AND_SAMPLE, {"sampled.by": "us"}, TraceState([("vendor", "1")])
        ),
        SamplingResult(Decision.DROP),
    )

    async with observed(_answering) as warm:  # the provider is there
        assert tracing._own is not None
        tracing._own.sampler.sampler = sampler
        assert warm is not None
    async with observed(_answering) as app:
        sampled = await call(app, http_scope("/"))
        dropped = await call(app, http_scope("/"))

    (span,) = collector.spans
    assert len(sampler.asked) == 2
    assert span.attributes[0].key == "sampled.by"
    assert span.trace_state == "vendor=1"
    assert header_of(sampled, "traceresponse").endswith("-01")
    assert header_of(dropped, "traceresponse").endswith("-00")


async def _answering(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
