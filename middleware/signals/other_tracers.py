"""Finds out who else traces the same requests, so that no request is traced twice."""

from collections.abc import Iterator
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from ..asgi import ASGIApp, Message
from ..exchange import Exchange

_CONTRIB = ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware")


def marked(app: ASGIApp) -> ASGIApp:
    """`app` below OpenTelemetry's own middleware, for those who look along the `.app` chain.

    FastAPI does: from 0.142 on it traces every request itself when it finds a tracer provider and
    not this. Requests step around it: our span says the same and costs a fifth (a test compares).
    """
    try:  # the import itself fails where OTEL_PROPAGATORS names what is not installed
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415
    except ValueError:
        return app
    middleware: ASGIApp = OpenTelemetryMiddleware(
        app, tracer_provider=trace.NoOpTracerProvider(), meter_provider=NoOpMeterProvider()
    )
    return middleware


def has_server_spans(app: ASGIApp) -> bool:
    """Whether OpenTelemetry's own instrumentation is somewhere below."""
    return any(_is_contrib(layer) for layer in _layers(app))


def _is_contrib(layer: Any) -> bool:
    if getattr(layer, "_is_instrumented_by_opentelemetry", False) is True:  # a FastAPI app
        return True
    kind = layer if isinstance(layer, type) else type(layer)
    return (kind.__module__, kind.__name__) == _CONTRIB


def _layers(app: Any) -> Iterator[Any]:
    """What a request passes, as far as can be seen from outside."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        yield app
        for added in getattr(app, "user_middleware", ()):
            yield getattr(added, "cls", None)
        app = getattr(app, "app", None) or getattr(app, "middleware_stack", None)


def learn_ids(exchange: Exchange, span: trace.Span) -> None:
    """Have the ids of the server span that somebody has started, if it has any."""
    context = span.get_span_context()
    if context.is_valid:
        exchange.belong_to(context.trace_id, context.span_id, sampled=context.trace_flags.sampled)


async def call_learning_ids(app: ASGIApp, exchange: Exchange) -> None:
    """Call an app that makes its own server span: it is there as soon as the app does something."""
    learned = False

    def learn() -> None:
        nonlocal learned
        if not learned:
            learn_ids(exchange, trace.get_current_span())
        learned = True

    async def receive() -> Message:
        learn()
        return await exchange.receive()

    async def send(message: Message) -> None:
        learn()
        await exchange.send(message)

    await app(exchange.scope, receive, send)
