"""Plain numbers behind a collector: what a request pays for a metric is a lookup and an addition.

prometheus_client's own children take a lock and walk their buckets for every observation. These are
written by one thread at a time and read by any: a scrape may see an observation in its
bucket and not yet in the sum, never a wrong one.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from .drops import Drops

Labels = tuple[str, ...]
Trace = tuple[str, int, bool]  # its id, when it began in ns since the epoch, whether it is sampled
OTHER = "other"


class HistogramCell:
    """One label set of a histogram."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: list[tuple[float, Trace] | None] = [None] * len(self.counts)

    def observe(self, value: float) -> None:
        """Count `value` in its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_traced(self, value: float, trace: Trace) -> None:
        """Count `value`, and remember its trace unless that would displace one that was kept."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        last = self.exemplars[bucket]
        if last is None or trace[2] or not last[1][2]:
            self.exemplars[bucket] = (value, trace)

    def buckets(self) -> Iterator[tuple[str, float, Exemplar | None]]:
        """Upper bound, cumulative count and exemplar of each bucket."""
        total = 0
        bounds = [*map(floatToGoString, self.bounds), "+Inf"]
        for bound, count, kept in zip(bounds, list(self.counts), self.exemplars, strict=True):
            total += count
            if kept is None:
                yield bound, total, None
            else:
                value, (trace_id, began_ns, _) = kept
                exemplar = Exemplar({"trace_id": trace_id}, value, began_ns / 1e9 + value)
                yield bound, total, exemplar


class HistogramFamily(Collector):
    """All label sets of a histogram, `max_label_sets` at most: then `other` takes them all."""

    def __init__(
        self,
        name: str,
        documentation: str,
        label_names: Labels,
        bounds: Sequence[float],
        *,
        max_label_sets: int,
        drops: Drops | None = None,
    ) -> None:
        self.name, self.documentation, self.label_names = name, documentation, label_names
        self._bounds = bounds
        self._max_label_sets = max_label_sets
        self._drops = drops
        self.before_collecting: Callable[[], None] | None = None
        self._cells: dict[Labels, HistogramCell] = {}

    def cell(self, *labels: str) -> HistogramCell:
        """The cell of a label set, made if it is new."""
        cell = self._cells.get(labels)
        if cell is None:
            if len(self._cells) >= self._max_label_sets:
                if self._drops is not None:
                    self._drops.add("metrics")
                labels = (OTHER,) * len(self.label_names)
            cell = self._cells.setdefault(labels, HistogramCell(self._bounds))
        return cell

    def collect(self) -> Iterable[Metric]:
        """The metric as prometheus_client shows it; `samples` can be walked through, no more."""
        if self.before_collecting is not None:
            self.before_collecting()
        metric = Metric(self.name, self.documentation, "histogram")
        metric.samples = _Samples(self)  # type: ignore[assignment]  # it wants a list
        yield metric

    def samples(self) -> Iterator[Sample]:
        """Every label set's buckets, count and sum."""
        for labels, cell in tuple(self._cells.items()):
            own = dict(zip(self.label_names, labels, strict=True))
            count = 0.0
            for bound, count, exemplar in cell.buckets():
                labelled = {**own, "le": bound}
                yield Sample(f"{self.name}_bucket", labelled, count, None, exemplar)
            yield Sample(f"{self.name}_count", own, count)
            yield Sample(f"{self.name}_sum", own, cell.sum)


class _Samples:
    """Made while they are read: 20,000 at once would be one long garbage collection."""

    def __init__(self, family: HistogramFamily) -> None:
        self._family = family

    def __iter__(self) -> Iterator[Sample]:
        return self._family.samples()
