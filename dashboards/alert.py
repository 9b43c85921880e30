"""What an alert is, and where its links lead."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dashboards.names import INSTANCE, JOB
from dashboards.promql import ROUTE
from dashboards.slo import Severity

Board = Literal[
    "overview", "route", "event-loop", "runtime", "dependencies", "models", "slo", "telemetry"
]

# Where Grafana is; `stallscope demo` puts its own preview there.
DASHBOARDS_URL = "http://127.0.0.1:3000"
# Where runbooks/ is shown: Grafana serves what is mounted there, the preview likewise.
RUNBOOKS_URL = f"{DASHBOARDS_URL}/public/runbooks"
# As the scrape configuration calls the service: what is gone cannot say what it was.
SERVICE_JOB = "stallscope"

_VARIABLES = {JOB: "var-job", INSTANCE: "var-instance", ROUTE: "var-route"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule; its runbook is `runbooks/<name>.md`.

    `of` are those labels of the expression's result which are variables of the boards, too.
    `outlasts`: it goes on firing for so long after its condition is gone.
    """

    name: str
    expression: str
    severity: Severity
    holds: str = "0s"
    outlasts: str | None = None
    summary: str
    description: str
    board: Board
    of: tuple[str, ...] = (JOB, INSTANCE)
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        lasting = {"keep_firing_for": self.outlasts} if self.outlasts else {}
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.holds,
            **lasting,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS_URL}/{self.name}.md",
                "dashboard_url": self._dashboard_url(),
            },
        }

    def _dashboard_url(self) -> str:
        given = (f"{_VARIABLES[label]}={{{{ urlquery $labels.{label} }}}}" for label in self.of)
        return f"{DASHBOARDS_URL}/d/stallscope-{self.board}?{'&'.join(given)}".rstrip("?")
