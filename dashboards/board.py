"""Boards: rows of panels with the same variables, annotations and links on each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dashboards.grafana import dashboard, prometheus
from dashboards.names import INSTANCE, JOB, METRICS, PROMETHEUS, Metric
from dashboards.panel import DATASOURCE, Panel, panel_id
from dashboards.promql import ROUTE, Scope, aggregated, differs, equals, matches

TAG = "stallscope"
EVERYTHING = ".+"

_WIDTH = 24

# Whatever the variables choose; routes narrow down only what has a route.
REPLICAS = Scope((matches(JOB, "$job"), matches(INSTANCE, "$instance")), "$__rate_interval")
REQUESTS = REPLICAS.where(matches(ROUTE, "$route"))
# The same, over all of the time that is shown.
REPLICAS_SHOWN, REQUESTS_SHOWN = REPLICAS.over("$__range"), REQUESTS.over("$__range")

FIRING = (equals("alertstate", "firing"), differs("severity", "none"))


def recorded(name: str) -> str:
    """What a recording rule has written for the chosen jobs; it has added up their replicas."""
    return f"{name}{{{REPLICAS.matchers[0]}}}"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other, below one another where the width does not suffice."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One more variable: the values of a metric's label."""

    name: str
    metric: Metric
    label: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `since` is what it shows at first."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    since: str = "now-1h"
    choices: tuple[Choice, ...] = ()

    def model(self) -> dashboard.Dashboard:
        """The dashboard as Grafana has it."""
        return dashboard.Dashboard(
            uid=self.uid,
            title=f"Stallscope / {self.title}",
            description=self.description,
            tags=[TAG],
            editable=False,
            graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
            time=dashboard.DashboardDashboardTime(from_val=self.since, to="now"),
            timepicker=dashboard.TimePickerConfig(),
            refresh="30s",
            version=1,
            panels=list(_placed(self.rows)),
            templating=dashboard.DashboardDashboardTemplating(
                list_val=[*_variables(), *(_choice(one) for one in self.choices)]
            ),
            annotations=dashboard.AnnotationContainer(list_val=[_deploys(), _alerts()]),
            links=[_all_boards()],
        )

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them."""
        return tuple(panel for row in self.rows for panel in row.panels)


def _placed(rows: Sequence[Row]) -> Iterator[dashboard.Panel | dashboard.RowPanel]:
    """From left to right, and down."""
    top = 0
    for row in rows:
        place = dashboard.GridPos(h=1, w=_WIDTH, x=0, y=top)
        yield dashboard.RowPanel(
            title=row.title, id_val=panel_id(f"row {row.title}"), grid_pos=place, panels=[]
        )
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > _WIDTH:
                top, left, height = top + height, 0, 0
            place = dashboard.GridPos(h=panel.height, w=panel.width, x=left, y=top)
            yield panel.model(place)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _variables() -> Iterator[dashboard.VariableModel]:
    yield dashboard.VariableModel(
        type_val=dashboard.VariableType.DATASOURCE,
        name="datasource",
        label="Data source",
        query="prometheus",
        current=dashboard.VariableOption(selected=False, text="Prometheus", value="prometheus"),
        refresh=dashboard.VariableRefresh.ON_DASHBOARD_LOAD,
    )
    stalls, requests = METRICS.asyncio_eventloop_stalls_total, _REQUESTS
    jobs = Scope()
    instances = jobs.where(matches(JOB, "$job"))
    yield _values_of("job", "Job", jobs.series(stalls), JOB)
    yield _values_of("instance", "Instance", instances.series(stalls), INSTANCE)
    yield _values_of("route", "Route", REPLICAS.series(requests), ROUTE)


def _choice(choice: Choice) -> dashboard.VariableModel:
    series = REPLICAS.series(choice.metric)
    return _values_of(choice.name, choice.name.capitalize(), series, choice.label)


def _values_of(name: str, title: str, series: str, label: str) -> dashboard.VariableModel:
    query = f"label_values({series}, {label})"
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=name,
        label=title,
        datasource=DATASOURCE,
        definition=query,
        query={"qryType": 1, "query": query, "refId": f"variable-{name}"},
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
        multi=True,
        include_all=True,
        all_value=EVERYTHING,
        current=dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]),
    )


def _deploys() -> dashboard.AnnotationQuery:
    """Where a version of the service is new: it was not there one step before."""
    labels = (JOB, "service_version")
    running = REPLICAS.sum_of(METRICS.target_info, by=labels)
    before = f"{REPLICAS.series(METRICS.target_info)} offset $__interval"
    annotation = _annotation(
        "Deploys", f"{running} unless {aggregated('sum', before, labels)}", "blue"
    )
    annotation.title_format = "{{job}} {{service_version}}"
    annotation.text_format = "A version that did not run before"
    annotation.tag_keys = "service_version"
    return annotation


def _alerts() -> dashboard.AnnotationQuery:
    labels = ("alertname", "severity")
    annotation = _annotation("Alerts", Scope().sum_of(PROMETHEUS.ALERTS, *FIRING, by=labels), "red")
    annotation.title_format = "{{alertname}}"
    annotation.text_format = "firing ({{severity}})"
    annotation.tag_keys = "severity"
    return annotation


def _annotation(name: str, expression: str, color: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery(
        name=name,
        datasource=DATASOURCE,
        enable=True,
        icon_color=color,
        target=prometheus.Dataquery(
            datasource=DATASOURCE, expr=expression, ref_id=name, range_val=True
        ),
        expr=expression,
        step="60s",
    )


def _all_boards() -> dashboard.DashboardLink:
    return dashboard.DashboardLink(
        title="Stallscope",
        type_val=dashboard.DashboardLinkType.DASHBOARDS,
        tags=[TAG],
        include_vars=True,
        keep_time=True,
    )


_REQUESTS = METRICS.http_server_request_duration_seconds.count
