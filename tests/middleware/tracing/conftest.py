"""Tracing that starts anew for every test, as in a process of its own."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.util._once import Once

from middleware.setup import tracing
from tests.middleware.otlp_receiver import OtlpReceiver, http_receiver


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No provider, no `OTEL_*` variables, and none left behind."""
    import os  # noqa: PLC0415

    for name in tuple(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    # Set and taken away, so that what is set meanwhile is taken away in the end.
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(tracing, "_own", None)
    yield
    if tracing._own is not None:
        tracing._own.provider.shutdown()
    assert tracing._users == 0


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A collector over HTTP, which the environment names."""
    with http_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver
