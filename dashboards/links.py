"""Where a click leads: another board with the same time and variables, logs, the stalls page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from dashboards.grafana import dashboard

VARIABLES = ("datasource", "job", "instance", "route")

LOKI = "loki"  # uid of the datasource
SERVICE_NAME = "stallscope"


@dataclass(frozen=True, slots=True)
class Link:
    """A link on a value; `${...}` is filled in by Grafana."""

    title: str
    url: str
    new_tab: bool = False

    @property
    def model(self) -> dashboard.DashboardLink:
        """As Grafana has it."""
        return dashboard.DashboardLink(
            title=self.title,
            type_val=dashboard.DashboardLinkType.LINK,
            url=self.url,
            target_blank=self.new_tab,
        )


def field(name: str) -> str:
    """What a row has in a column, as it can stand in an address."""
    return f"${{__data.fields.{name}:percentencode}}"


def to_board(title: str, uid: str, chosen: Mapping[str, str] | None = None) -> Link:
    """Another board; `chosen` are values of its variables, all others stay as they are."""
    chosen = chosen or {}
    kept = [f"${{{name}:queryparam}}" for name in VARIABLES if name not in chosen]
    values = [f"var-{name}={value}" for name, value in chosen.items()]
    return Link(title, f"/d/{uid}?{'&'.join(['${__url_time_range}', *kept, *values])}")


def to_stalls() -> Link:
    """The stalls page of the row's `instance`, on its ops port."""
    # Not percent-encoded: host and port.
    return Link("The stalls, with stacks", "http://${__data.fields.instance}/stalls", new_tab=True)


def to_logs(title: str, query: str) -> Link:
    """Log lines in Explore, of the time that is shown."""
    # Each separately, so that Grafana finds its variables as they are.
    pane = {
        "datasource": LOKI,
        "queries": [{"refId": "A", "datasource": {"type": "loki", "uid": LOKI}, "expr": query}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"logs": pane}), safe="${}:.")
    return Link(title, f"/explore?schemaVersion=1&panes={panes}", new_tab=True)
