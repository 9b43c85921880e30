"""What a PromQL expression measures: seconds, bytes, or how often, per second or not.

None is a bare number, which takes on whatever it is added to or compared with.
"""

from dataclasses import dataclass
from typing import Self

import promql_parser as promql


@dataclass(frozen=True, slots=True)
class Dimension:
    """Powers of seconds and bytes."""

    seconds: int = 0
    bytes: int = 0

    def times(self, other: Self, power: int = 1) -> "Dimension":
        """Multiplied, or divided with -1."""
        return Dimension(self.seconds + power * other.seconds, self.bytes + power * other.bytes)


NUMBER, SECONDS, BYTES = Dimension(), Dimension(seconds=1), Dimension(bytes=1)
PER_SECOND = Dimension(seconds=-1)

# Grafana's units for each.
UNITS: dict[Dimension, frozenset[str]] = {
    NUMBER: frozenset({"short", "percentunit"}),
    SECONDS: frozenset({"s"}),
    BYTES: frozenset({"bytes"}),
    PER_SECOND: frozenset({"reqps", "ops", "cps"}),
}
_POWERS = {"*": 1, "/": -1}


class MixedDimensionsError(Exception):
    """Seconds were added to bytes, or the like."""


def dimension_of(expression: object) -> Dimension | None:
    """What it measures."""
    match expression:
        case promql.NumberLiteral() | promql.StringLiteral():
            return None
        case (
            promql.VectorSelector(name=name)
            | promql.MatrixSelector(vector_selector=promql.VectorSelector(name=name))
        ):
            return _of_name(name or "")
        case promql.AggregateExpr() if str(expression.op) == "count":
            return NUMBER
        case promql.BinaryExpr():
            return _of_operation(expression)
        case promql.Call():
            return _of_call(expression)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.AggregateExpr():
            return dimension_of(expression.expr)
    raise TypeError(type(expression))


def _of_name(name: str) -> Dimension:
    if name.endswith(("_bucket", "_count")):
        return NUMBER
    stem = name.removesuffix("_total").removesuffix("_sum")
    if stem.endswith("_seconds"):
        return SECONDS
    return BYTES if stem.endswith("_bytes") else NUMBER


def _of_operation(operation: promql.BinaryExpr) -> Dimension | None:
    left, right = dimension_of(operation.lhs), dimension_of(operation.rhs)
    operator = str(operation.op)
    if operator in _POWERS:
        return (left or NUMBER).times(right or NUMBER, _POWERS[operator])
    if operator == "unless" or left == right:
        return left
    if left is not None and right is not None:
        raise MixedDimensionsError(f"{left} {operator} {right}")
    return left or right


def _of_call(call: promql.Call) -> Dimension | None:
    name, arguments = call.func.name, call.args
    if name == "time":
        return SECONDS
    if name == "vector":
        return dimension_of(arguments[0])
    if name == "histogram_quantile":
        return of_buckets(arguments[1])
    inner = dimension_of(arguments[0])
    return (inner or NUMBER).times(PER_SECOND) if name == "rate" else inner


def of_buckets(buckets: object) -> Dimension:
    """What was observed in the histogram whose buckets these are."""
    found: list[str] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.MatrixSelector):
            found.append(node.vector_selector.name or "")

    assert isinstance(buckets, promql.Expr)
    promql.walk(buckets, visit)
    (name,) = found
    return _of_name(name.removesuffix("_bucket"))
