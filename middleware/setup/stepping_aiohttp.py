"""Steps around the tracing of an aiohttp session where the trace is not sampled."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from .stepping import is_unsampled

if TYPE_CHECKING:
    from aiohttp import TraceConfig

_MARK = "_is_instrumented_by_opentelemetry"  # contrib's own, on what it adds to a session


@contextmanager
def sessions_stepping_aside(session: Any) -> Iterator[None]:
    """What contrib's instrumentation adds to a new session while the block lasts is put in here."""
    original = session.__init__

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        configs = kwargs.get("trace_configs") or ()
        if configs:
            kwargs["trace_configs"] = [_stepping(config) for config in configs]
        original(self, *args, **kwargs)

    session.__init__ = init
    try:
        yield
    finally:
        session.__init__ = original


def _stepping(traced: "TraceConfig") -> "TraceConfig":
    """Traces what is sampled; sends on the ids of what is not."""
    if not hasattr(traced, _MARK):
        return traced
    from opentelemetry.propagate import inject  # noqa: PLC0415 - reads the environment

    traced.freeze()

    async def start(session: Any, context: SimpleNamespace, happened: Any) -> None:
        if is_unsampled():
            inject(happened.headers)
        else:
            context.traced = traced.trace_config_ctx()
            await traced.on_request_start.send(session, context.traced, happened)

    async def end(session: Any, context: SimpleNamespace, happened: Any) -> None:
        if hasattr(context, "traced"):
            await traced.on_request_end.send(session, context.traced, happened)

    async def fail(session: Any, context: SimpleNamespace, happened: Any) -> None:
        if hasattr(context, "traced"):
            await traced.on_request_exception.send(session, context.traced, happened)

    config = type(traced)()
    config.on_request_start.append(start)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    setattr(config, _MARK, True)
    return config
