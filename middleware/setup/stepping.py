"""Steps around the wrappers of an instrumentation where the trace is not sampled."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from opentelemetry import trace


def is_unsampled() -> bool:
    """Whether the current trace is known not to be sampled."""
    span = trace.get_current_span()
    if span.is_recording():
        return False
    context = span.get_span_context()
    return context.is_valid and not context.trace_flags.sampled


@contextmanager
def stepping_aside(classes: Sequence[type], opened: ExitStack) -> Iterator[None]:
    """Whatever the block wraps in `classes` is passed by from now on, until `opened` closes."""
    before = [(each, dict(vars(each))) for each in classes]
    yield
    for each, methods in before:
        for name, wrapper in tuple(vars(each).items()):
            if wrapper is not methods.get(name) and name in methods:
                setattr(each, name, _step(methods[name], wrapper))
                opened.callback(setattr, each, name, wrapper)


def _step(bare: Callable[..., Any], wrapper: Any) -> Callable[..., Any]:
    @wraps(bare)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_unsampled():
            return bare(self, *args, **kwargs)
        return wrapper.__get__(self, type(self))(*args, **kwargs)

    return step
