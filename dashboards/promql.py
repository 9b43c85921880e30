"""PromQL out of metrics and matchers; a label that a metric does not have is refused at once."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

from dashboards.names import INSTANCE, JOB, METRICS, Metric

ROUTE, STATUS = "http_route", "http_response_status_code"
SERVER_ERROR = "5.."

Labels = Iterable[str]


class Matcher(NamedTuple):
    """One condition on a label."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{json.dumps(self.value)}"


def equals(label: str, value: str) -> Matcher:
    """`label` has this value; an empty one: it is not there."""
    return Matcher(label, "=", value)


def differs(label: str, value: str) -> Matcher:
    """`label` has another value."""
    return Matcher(label, "!=", value)


def matches(label: str, pattern: str) -> Matcher:
    """All of `label`'s value matches."""
    return Matcher(label, "=~", pattern)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which series, and over which window they are looked at.

    Of `matchers`, those are left out whose label a metric does not have: routes do not narrow down
    what has no route.
    """

    matchers: tuple[Matcher, ...] = ()
    window: str = "5m"

    def over(self, window: str) -> Self:
        """The same series over another window."""
        return replace(self, window=window)

    def where(self, *matchers: Matcher) -> Self:
        """Fewer series."""
        return replace(self, matchers=(*self.matchers, *matchers))

    def series(self, metric: Metric, *matchers: Matcher) -> str:
        """What the metric says now."""
        _check(metric, (matcher.label for matcher in matchers))
        labels = metric.labels | {JOB, INSTANCE}
        both = [*(matcher for matcher in self.matchers if matcher.label in labels), *matchers]
        return f"{metric}{{{', '.join(map(str, both))}}}" if both else str(metric)

    def rate_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """A counter's increase per second, added up but for the labels in `by`."""
        return self._summed("rate", metric, matchers, by)

    def increase_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """A counter's increase within the window, likewise."""
        return self._summed("increase", metric, matchers, by)

    def growth_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """Likewise, with what series began with that are younger than the window.

        `increase` sees nothing of a series' first value, and so no first error and no new culprit.
        """
        _only("counter", metric)
        series = self.series(metric, *matchers)
        young = f"last_over_time({series}[{self.window}]) unless {series} offset {self.window}"
        inner = f"({young}) or increase({series}[{self.window}])"
        return aggregated("sum", inner, _check(metric, by))

    def sum_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """A gauge, added up."""
        return self._aggregated("sum", metric, matchers, by)

    def max_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """The largest of a gauge's values."""
        return self._aggregated("max", metric, matchers, by)

    def min_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """The smallest of a gauge's values."""
        return self._aggregated("min", metric, matchers, by)

    def highest_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """The largest value that a gauge had within the window."""
        _only("gauge", metric)
        inner = f"max_over_time({self.series(metric, *matchers)}[{self.window}])"
        return aggregated("max", inner, _check(metric, by))

    def quantile_of(
        self, quantile: float, metric: Metric, *matchers: Matcher, by: Labels = ()
    ) -> str:
        """A histogram's quantile, estimated within its buckets."""
        inner = self.rate_of(metric.bucket, *matchers, by=(*by, "le"))
        return f"histogram_quantile({quantile:g}, {inner})"

    def mean_of(self, metric: Metric, *matchers: Matcher, by: Labels = ()) -> str:
        """A histogram's mean; nothing where it was not observed."""
        by = tuple(by)
        return ratio(
            self.rate_of(metric.sum, *matchers, by=by), self.rate_of(metric.count, *matchers, by=by)
        )

    def share_of(
        self, metric: Metric, *matchers: Matcher, of: Iterable[Matcher] = (), by: Labels = ()
    ) -> str:
        """The share of a counter's increase that has `matchers`: 0 when nothing has."""
        by, of = tuple(by), tuple(of)
        whole = self.rate_of(metric, *of, by=by)
        return ratio(or_zero(self.rate_of(metric, *of, *matchers, by=by), whole), whole)

    def error_ratio(self, by: Labels = ()) -> str:
        """The share of requests that were answered with a server error."""
        requests = METRICS.http_server_request_duration_seconds.count
        return self.share_of(requests, matches(STATUS, SERVER_ERROR), by=by)

    def fast_ratio(self, seconds: float, by: Labels = ()) -> str:
        """The share of requests that took at most `seconds`, one of the histogram's bounds."""
        by, duration = tuple(by), METRICS.http_server_request_duration_seconds
        fast = self.rate_of(duration.bucket, equals("le", f"{float(seconds)}"), by=by)
        return ratio(fast, self.rate_of(duration.count, by=by))

    def _summed(
        self, function: str, metric: Metric, matchers: Iterable[Matcher], by: Labels
    ) -> str:
        _only("counter", metric)
        inner = f"{function}({self.series(metric, *matchers)}[{self.window}])"
        return aggregated("sum", inner, _check(metric, by))

    def _aggregated(
        self, operator: str, metric: Metric, matchers: Iterable[Matcher], by: Labels
    ) -> str:
        _only("gauge", metric)
        return aggregated(operator, self.series(metric, *matchers), _check(metric, by))


def aggregated(operator: str, expression: str, by: Labels = ()) -> str:
    """`expression`, added up or the like, but for the labels in `by`."""
    labels = ", ".join(by)
    return f"{operator} by ({labels}) ({expression})" if labels else f"{operator}({expression})"


def ratio(part: str, whole: str) -> str:
    """How much of `whole` is `part`; nothing where there is no whole."""
    return f"({part}) / ({whole} > 0)"


def ratio_within(part: str, whole: str, on: Labels) -> str:
    """Likewise, where `part` has more labels than the whole that it belongs to: those in `on`."""
    return f"({part}) / on ({', '.join(on)}) group_left () ({whole} > 0)"


def or_zero(expression: str, like: str) -> str:
    """0 where `expression` has nothing for a label set that `like` has."""
    return f"({expression} or 0 * {like})"


def top(count: int, expression: str) -> str:
    """The largest ones, those above 0."""
    return f"topk({count}, {expression} > 0)"


def _check(metric: Metric, labels: Labels) -> tuple[str, ...]:
    labels = tuple(labels)
    unknown = set(labels) - metric.labels - {JOB, INSTANCE}
    if unknown:
        raise ValueError(f"{metric} has no label {', '.join(sorted(unknown))}")
    return labels


def _only(kind: Literal["counter", "gauge"], metric: Metric) -> None:
    if metric.kind != kind:
        raise TypeError(f"{metric} is a {metric.kind}, not a {kind}")
