"""`/metrics`: several registries as one exposition, rendered so that the event loop gets its turns.

Rendering takes 10 µs a series, and whoever waits for the GIL meanwhile waits up to 5 ms each time.
So samples are made while they are read, since 20,000 kept ones are a long garbage collection, and
after every millisecond the thread lets go.
"""

import asyncio
import copy
import gzip
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from ..asgi import Scope
from .answers import Answer, problem

SCRAPE_SECONDS = 30.0
_SLICE_SECONDS = 0.001
_PAUSE_SECONDS = 0.0005
_COMPRESSION = 6  # zlib's default: level 9, gzip's, takes three times as long for 1 % less

Encode = Callable[[Collector], bytes]


class ClosedError(Exception):
    """The port is closed in the middle of a scrape."""


class Exposition(Collector):
    """All metrics of `registries`; a name that several of them have is shown from the first."""

    def __init__(self, registries: Sequence[CollectorRegistry]) -> None:
        self._registries = tuple(registries)
        self._closed = threading.Event()
        self._turn = asyncio.Semaphore(1)
        self._thread: threading.Thread | None = None

    async def answer(self, scope: Scope) -> Answer:
        """One scrape at a time, on a thread of its own: a collector may be slow, or hang."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        encode, content_type = _encoder(headers.get(b"accept", ""))
        zipped = gzip_accepted(headers.get(b"accept-encoding", ""))
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                await self._turn.acquire()
                body = await self._beside(partial(self._render, encode, zipped=zipped))
        except TimeoutError:
            return problem(503, f"The metrics were not there within {SCRAPE_SECONDS} s.")
        return Answer(200, content_type, body, {"Content-Encoding": "gzip"} if zipped else {})

    def collect(self) -> Iterator[Metric]:
        """As a registry does, at a pace."""
        shown: set[str] = set()
        for metric in (each for registry in self._registries for each in _families(registry)):
            if metric.name not in shown:
                shown.add(metric.name)
                yield _with_samples(metric, _Paced(metric.samples, self._closed))

    def close(self) -> None:
        """Give up a scrape that is under way."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def _render(self, encode: Encode, *, zipped: bool) -> bytes:
        text = encode(self)
        return gzip.compress(text, _COMPRESSION) if zipped else text

    async def _beside(self, work: Callable[[], bytes]) -> bytes:
        """Have `work` done on a thread; the next one's turn comes when it is, however that ends."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()

        def settle(outcome: Callable[[], None]) -> None:
            self._turn.release()
            if not done.done():
                outcome()

        def run() -> None:
            try:
                outcome = partial(done.set_result, work())
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                outcome = partial(done.set_exception, error)
            with suppress(RuntimeError):  # the port is closed, and its loop with it
                loop.call_soon_threadsafe(settle, outcome)

        # A daemon: a collector that hangs must not keep the process from its end.
        self._thread = threading.Thread(target=run, name="ops-scrape", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._turn.release()
            raise
        return await done


class _Paced:
    """Samples that pause now and then, and end in ClosedError once the port is closed."""

    def __init__(self, samples: Iterable[Sample], closed: threading.Event) -> None:
        self._samples, self._closed = samples, closed

    def __iter__(self) -> Iterator[Sample]:
        until = perf_counter() + _SLICE_SECONDS
        for sample in self._samples:
            if perf_counter() > until:
                if self._closed.wait(_PAUSE_SECONDS):
                    raise ClosedError
                until = perf_counter() + _SLICE_SECONDS
            yield sample


class _Streamed:
    """The samples of one of prometheus_client's own metrics, made while they are read."""

    def __init__(self, metric: MetricWrapperBase) -> None:
        self._metric = metric

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._metric._samples():
            yield sample._replace(name=self._metric._name + sample.name)


def _families(registry: CollectorRegistry) -> Iterator[Metric]:
    """What `registry.collect()` gives; only, that would make all samples of a metric at once."""
    target_info = registry.get_target_info()
    if target_info:
        yield from CollectorRegistry(target_info=target_info).collect()
    for collector in tuple(registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            metric: Metric = collector._get_metric()  # type: ignore[no-untyped-call]  # no types
            yield _with_samples(metric, _Streamed(collector))
        else:
            yield from collector.collect()


def _with_samples(metric: Metric, samples: Iterable[Sample]) -> Metric:
    # A copy: the collector may have kept the metric.
    metric = copy.copy(metric)
    metric.samples = samples  # type: ignore[assignment]  # encoders only walk through them
    return metric


def _encoder(accept: str) -> tuple[Encode, str]:
    try:
        return choose_encoder(accept)
    except TypeError:  # a version that is no number
        return choose_encoder("")
