"""What the boards ask Prometheus: it parses, exists, and measures what the panel's unit says."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest

from dashboards.alerts import rules
from dashboards.names import EMITTED, METRICS, PROMETHEUS
from tests.dashboards.dimensions import (
    BYTES,
    NUMBER,
    PER_SECOND,
    SECONDS,
    UNITS,
    Dimension,
    MixedDimensionsError,
    dimension_of,
    of_buckets,
)
from tests.dashboards.reading import BOARDS, Asked, asked, filled_in, panels

RECORDED = frozenset(
    rule["record"] for group in rules()["groups"] for rule in group["rules"] if "record" in rule
)
SCRAPED = frozenset(str(metric) for metric in PROMETHEUS)
COUNTERS = frozenset(
    name for metric in METRICS for name in metric.samples if metric.kind in ("counter", "histogram")
)
# Seconds divided by seconds that are written as a number, or asked of Grafana.
BARE_NUMBERS = {
    "stallscope-slo: Availability: budget left over time C",
    "stallscope-slo: Latency: budget left over time C",
    "stallscope-telemetry: Samples stored A",
    "stallscope-telemetry: Disk for a day A",
}

each_query = pytest.mark.parametrize(
    "query", [pytest.param(query, id=query.name) for query in asked()]
)


@each_query
def test_a_query_parses_and_its_types_fit(query: Asked) -> None:
    promql.parse(filled_in(query.expression))


@each_query
def test_a_query_asks_for_what_is_emitted(query: Asked) -> None:
    names = {selector.name for selector, _ in _selectors(query.expression)} - {None}

    assert names <= EMITTED | RECORDED | SCRAPED


@each_query
def test_a_query_is_narrowed_down_to_the_chosen_replicas(query: Asked) -> None:
    for selector, _ in _selectors(query.expression, job="JOB", instance="INSTANCE"):
        chosen = {(each.name, each.value) for each in selector.matchers.matchers}
        if selector.name == "ALERTS":
            continue  # an alert that a target is gone is about no replica
        assert ("job", "JOB") in chosen
        # Recording rules have added up the replicas of a job.
        assert ("instance", "INSTANCE") in chosen or selector.name in RECORDED


@each_query
def test_counters_are_looked_at_over_time_and_gauges_are_not_rated(query: Asked) -> None:
    for selector, functions in _selectors(query.expression):
        rated = {"rate", "increase"} & set(functions)
        if selector.name in COUNTERS:
            assert rated or "growth" in functions, f"{selector.name} without rate or increase"
        else:
            assert not rated, f"rate of {selector.name}, which is a gauge"


@each_query
def test_windows_are_those_that_grafana_knows_to_be_wide_enough(query: Asked) -> None:
    windows = set(re.findall(r"\[([^\]]+)\]|offset (\S+?)[),\s]", query.expression))

    for window, offset in windows:
        assert (window or offset) in {"$__rate_interval", "$__range"}
    if query.panel["type"] in {"timeseries", "heatmap", "state-timeline"}:
        assert "$__range" not in query.expression


@each_query
def test_what_a_query_measures_has_the_panels_unit(query: Asked) -> None:
    if query.name in BARE_NUMBERS:
        return
    parsed = promql.parse(filled_in(query.expression))
    heatmap = query.panel["type"] == "heatmap"
    dimension = of_buckets(parsed) if heatmap else dimension_of(parsed)

    assert dimension is None or _unit_of(query) in UNITS[dimension]


def _unit_of(query: Asked) -> str:
    """A table's columns have units of their own."""
    field = query.panel["fieldConfig"]
    if query.panel["type"] == "table":
        overrides = {each["matcher"]["options"]: each["properties"] for each in field["overrides"]}
        properties = overrides[query.target["legendFormat"]]
        return next(str(each["value"]) for each in properties if each["id"] == "unit")
    return str(field["defaults"]["unit"])


def test_exceptions_are_made_for_queries_that_there_are() -> None:
    assert {query.name for query in asked()} >= BARE_NUMBERS


@pytest.mark.parametrize(
    ("expression", "dimension"),
    [
        ("rate(a_bytes_total[5m]) / rate(b_seconds_total[5m])", BYTES.times(SECONDS, -1)),
        ("sum(rate(a_seconds_sum[5m])) / 3", NUMBER),
        ("histogram_quantile(0.5, sum by (le) (rate(a_seconds_bucket[5m])))", SECONDS),
        ("rate(a_total[5m]) or 0 * rate(b_total[5m])", PER_SECOND),
        ("time() - a_seconds", SECONDS),
        ("count(a_bytes)", NUMBER),
        ("vector(1)", None),
    ],
)
def test_an_expression_has_the_dimension_of_what_it_is_made_of(
    expression: str, dimension: Dimension | None
) -> None:
    assert dimension_of(promql.parse(expression)) == dimension


def test_seconds_and_bytes_cannot_be_added() -> None:
    with pytest.raises(MixedDimensionsError):
        dimension_of(promql.parse("a_seconds + b_bytes"))


def test_every_metric_that_is_emitted_is_on_a_board() -> None:
    used = {selector.name for query in asked() for selector, _ in _selectors(query.expression)}

    assert [metric.name for metric in METRICS if not metric.samples & used] == []


def test_every_metric_that_is_emitted_is_explained() -> None:
    assert [metric.name for metric in METRICS if len(metric.documentation) < 15] == []


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_and_annotations_ask_for_what_is_emitted(uid: str) -> None:
    board = BOARDS[uid]
    queries = [each["target"]["expr"] for each in board["annotations"]["list"]]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), \w+\)", variable["definition"])
            assert found
            queries.append(found[1])

    for query in queries:
        names = {selector.name for selector, _ in _selectors(query)}
        assert names <= EMITTED | SCRAPED


@pytest.mark.parametrize("uid", BOARDS)
def test_a_renamed_metric_is_noticed(uid: str) -> None:
    """A test of the tests above: one letter, and the name is none that is emitted."""
    (first, *_) = (
        selector.name
        for panel in panels(BOARDS[uid])
        for target in panel["targets"]
        for selector, _ in _selectors(target["expr"])
        if selector.name
    )

    assert first + "x" not in EMITTED | RECORDED | SCRAPED


def _selectors(expression: str, **values: str) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every selector, and the functions around it; `growth` for what `growth_of` makes."""
    yield from _below(promql.parse(filled_in(expression, **values)), ())


def _below(node: Any, around: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    match node:
        case promql.VectorSelector():
            yield node, around
        case promql.MatrixSelector():
            yield node.vector_selector, around
        case promql.Call():
            for argument in node.args:
                yield from _below(argument, (*around, node.func.name))
        case promql.BinaryExpr():
            grows = ("growth",) if str(node.op) == "unless" else ()
            yield from _below(node.lhs, (*around, *grows))
            yield from _below(node.rhs, (*around, *grows))
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from _below(node.expr, around)
