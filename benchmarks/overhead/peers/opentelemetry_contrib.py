"""opentelemetry-instrumentation-fastapi and the SDK, exporting over http/protobuf in batches.

Sampler and endpoint come from the `OTEL_*` variables.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def install(app: FastAPI) -> None:
    """As its documentation begins: three spans a request."""
    _export(app)
    FastAPIInstrumentor.instrument_app(app)


def install_lean(app: FastAPI) -> None:
    """Without the spans for receive and send: one a request."""
    _export(app)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])


def _export(app: FastAPI) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    @asynccontextmanager
    async def flushed(_app: FastAPI) -> AsyncIterator[None]:
        yield
        provider.shutdown()  # uvicorn ends by a signal: the SDK's own atexit hook never runs

    app.router.lifespan_context = flushed
