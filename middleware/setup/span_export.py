"""Carries ended spans away: a bounded queue, a thread, and a count of what is lost."""

import os
import threading
from collections.abc import Sequence

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from ..drops import Drops

SHUTDOWN_SECONDS = 5.0


class RestartableProcessor(SpanProcessor):
    """Hands ended spans to a BatchSpanProcessor while there is one; counts what is lost."""

    def __init__(self) -> None:
        self._batch: BatchSpanProcessor | None = None
        self._exporter: CountingExporter | None = None

    @property
    def exports(self) -> bool:
        """Whether ended spans go anywhere."""
        return self._batch is not None

    def start(self, exporter: SpanExporter, drops: Drops) -> None:
        """Export through `exporter` from now on. Raises ValueError: an `OTEL_BSP_*` is wrong."""
        limit = _positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._exporter = CountingExporter(exporter, drops, limit)
        self._batch = BatchSpanProcessor(
            self._exporter,
            max_queue_size=limit,
            max_export_batch_size=min(limit, _positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            meter_provider=NoOpMeterProvider(),
        )

    def stop(self) -> None:
        """Export what is left, within SHUTDOWN_SECONDS; count what could not be."""
        batch, self._batch = self._batch, None
        exporter, self._exporter = self._exporter, None
        if batch is None or exporter is None:
            return
        # It waits 30 s for a collector that hangs, and nothing can tell it not to.
        flush = threading.Thread(target=batch.shutdown, name="otel_shutdown", daemon=True)
        flush.start()
        flush.join(SHUTDOWN_SECONDS)
        if flush.is_alive():
            exporter.give_up()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span."""
        batch, exporter = self._batch, self._exporter
        if batch is not None and exporter is not None:
            exporter.expect(span)
            batch.on_end(span)

    def shutdown(self) -> None:
        """The process ends."""
        self.stop()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued, now."""
        return self._batch is None or self._batch.force_flush(timeout_millis)


class CountingExporter(SpanExporter):
    """Counts the spans that the queue had no room for, and those that could not be exported."""

    def __init__(self, exporter: SpanExporter, drops: Drops, queue_limit: int) -> None:
        self._exporter, self._drops, self._queue_limit = exporter, drops, queue_limit
        self._queued = 0
        self._given_up = False
        self._lock = threading.Lock()  # spans end on any thread, and are exported on another

    def expect(self, span: ReadableSpan) -> None:
        """`span` is about to be queued; a full queue drops its oldest."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            full = self._queued >= self._queue_limit
            self._queued += not full
        if full:
            self._drops.add("traces")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, or count."""
        with self._lock:
            self._queued -= len(spans)
        result = SpanExportResult.FAILURE
        try:
            if not self._given_up:
                result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._drops.add("traces", len(spans))
        return result

    def give_up(self) -> None:
        """Export nothing more; a request that is under way ends by its own time limit."""
        self._given_up = True
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """Stop, even in the middle of a retry."""
        if not self._given_up:
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whatever the exporter makes of it."""
        return self._exporter.force_flush(timeout_millis)


def _positive(variable: str, default: int) -> int:
    try:
        return max(1, int(os.environ[variable]))
    except (KeyError, ValueError):
        return default
