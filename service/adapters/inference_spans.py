"""One span for each chunk, linked to the requests that it was computed for."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

from service.predictions.domain import Manifest


def current_span() -> SpanContext:
    """Of the request that is being answered."""
    return trace.get_current_span().get_span_context()


@contextmanager
def chunk_span(manifest: Manifest, rows: int, requests: Iterable[SpanContext]) -> Iterator[None]:
    """A span for as long as the block lasts, if one of the requests at least is sampled.

    It is a child of the first of these, whose decision to sample is its own.
    """
    sampled = [request for request in requests if request.trace_flags.sampled]
    if not sampled:
        yield
        return
    with trace.get_tracer(__name__).start_as_current_span(
        f"ml.inference {manifest.name}",
        trace.set_span_in_context(NonRecordingSpan(sampled[0])),
        links=[Link(request) for request in sampled],
        attributes={
            "ml.model.name": manifest.name,
            "ml.model.version": manifest.version,
            "ml.batch.rows": rows,
        },
    ):
        yield
