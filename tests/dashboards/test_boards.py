"""The boards as Grafana gets them: complete, of one kind, and linked to each other."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from grafana_foundation_sdk.cog import plugins

from dashboards import generate
from dashboards.grafana import as_json, dashboard
from tests.dashboards.reading import BOARDS, panels, strings

UIDS = [
    f"stallscope-{name}"
    for name in (
        *("dependencies", "event-loop", "models", "overview", "route", "runtime", "slo"),
        "telemetry",
    )
]

each_board = pytest.mark.parametrize("uid", UIDS)
each_panel = pytest.mark.parametrize(
    ("uid", "panel"),
    [
        pytest.param(uid, panel, id=f"{uid}: {panel['title']}")
        for uid, board in BOARDS.items()
        for panel in panels(board)
    ],
)


def test_there_are_these_boards() -> None:
    assert list(BOARDS) == UIDS


def test_what_is_committed_is_what_the_code_says() -> None:
    assert generate.stale() == []
    assert generate.main(["--check"]) == 0


def test_a_stale_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "GENERATED", tmp_path / "generated")
    assert generate.main([]) == 0
    (tmp_path / "generated" / "stallscope-slo.json").write_text("{}")
    (tmp_path / "generated" / "stallscope-gone.json").write_text("{}")

    assert generate.main(["--check"]) == 1

    stale = re.findall(r"generated/(\S+) is stale", capsys.readouterr().err)
    assert stale == ["stallscope-gone.json", "stallscope-slo.json"]


@each_board
def test_a_board_is_what_grafanas_own_sdk_reads_and_writes(uid: str) -> None:
    plugins.register_default_plugins()

    read = dashboard.Dashboard.from_json(BOARDS[uid])

    assert json.loads(as_json(read)) == BOARDS[uid]


@each_board
def test_a_board_is_tagged_titled_and_described(uid: str) -> None:
    board = BOARDS[uid]

    assert board["uid"] == uid
    assert board["tags"] == ["stallscope"]
    assert board["title"].startswith("Stallscope / ")
    assert board["description"].endswith(".")
    assert board["schemaVersion"] >= 42


def test_titles_and_uids_are_unique() -> None:
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@each_board
def test_a_boards_panels_have_ids_of_their_own(uid: str) -> None:
    ids = [panel["id"] for panel in BOARDS[uid]["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(isinstance(each, int) and each > 0 for each in ids)


@each_board
def test_panels_do_not_lie_on_each_other(uid: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in BOARDS[uid]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@each_board
def test_a_board_has_the_variables_of_all_boards(uid: str) -> None:
    variables = {each["name"]: each for each in BOARDS[uid]["templating"]["list"]}

    assert list(variables)[:4] == ["datasource", "job", "instance", "route"]
    assert variables["datasource"]["query"] == "prometheus"
    for name in set(variables) - {"datasource"}:
        assert variables[name]["multi"], name
        assert variables[name]["includeAll"], name
        assert variables[name]["allValue"] == ".+"
        assert variables[name]["datasource"]["uid"] == "${datasource}"
        assert variables[name]["definition"] == variables[name]["query"]["query"]


@each_board
def test_a_board_marks_deploys_and_firing_alerts(uid: str) -> None:
    marks = {each["name"]: each["target"]["expr"] for each in BOARDS[uid]["annotations"]["list"]}

    assert set(marks) == {"Deploys", "Alerts"}
    assert "service_version" in marks["Deploys"]
    assert 'alertstate="firing"' in marks["Alerts"]


@each_board
def test_a_board_leads_to_all_others_with_its_time_and_variables(uid: str) -> None:
    (link,) = BOARDS[uid]["links"]

    assert (link["type"], link["tags"]) == ("dashboards", ["stallscope"])
    assert link["keepTime"]
    assert link["includeVars"]
    assert "placement" not in link, "a menu would hide it"


@each_panel
def test_a_panel_says_what_it_shows_and_what_nothing_means(uid: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["title"]
    assert panel["description"].endswith(".")
    assert len(panel["description"]) > 20
    assert defaults["unit"]
    assert defaults["noValue"]


@each_panel
def test_a_panel_asks_the_data_source_that_is_chosen(uid: str, panel: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}

    assert panel["datasource"] == chosen
    assert panel["targets"]
    assert all(target["datasource"] == chosen for target in panel["targets"])
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)


@each_panel
def test_a_panels_thresholds_rise_from_a_colour_for_everything(
    uid: str, panel: dict[str, Any]
) -> None:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    values = [step["value"] for step in steps]

    assert values[0] is None
    assert values[1:] == sorted(values[1:])


@each_panel
def test_a_legend_is_shown_and_names_every_series(uid: str, panel: dict[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
    assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize(
    ("uid", "title"),
    [
        ("stallscope-overview", "Duration"),
        ("stallscope-route", "Durations"),
        ("stallscope-route", "Duration quantiles"),
        ("stallscope-event-loop", "Durations of stalls"),
    ],
)
def test_latency_panels_show_exemplars(uid: str, title: str) -> None:
    (panel,) = (each for each in panels(BOARDS[uid]) if each["title"] == title)

    assert any(target["exemplar"] for target in panel["targets"])


def _urls() -> list[Any]:
    return [
        pytest.param(url, id=f"{uid}: {url[:60]}")
        for uid, board in BOARDS.items()
        for url in dict.fromkeys(strings(board, "url"))
    ]


@pytest.mark.parametrize("url", _urls())
def test_a_link_leads_somewhere_and_takes_time_and_variables_along(url: str) -> None:
    parts = urlsplit(url)
    if parts.path.startswith("/d/"):
        uid = parts.path.removeprefix("/d/")
        kept = parts.query.split("&")
        names = {each["name"] for each in BOARDS[uid]["templating"]["list"]}
        given = {re.sub(r"var-(\w+)=.*|\$\{(\w+):queryparam\}", r"\1\2", each) for each in kept}
        assert kept[0] == "${__url_time_range}"
        assert given - {kept[0]} >= {"datasource", "job", "instance", "route"}
        assert given - {kept[0]} <= names
    elif parts.path == "/explore":
        (pane,) = json.loads(parse_qs(parts.query)["panes"][0]).values()
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        assert pane["datasource"] == "loki"
        assert pane["queries"][0]["expr"].startswith('{service_name="stallscope"} | json')
    else:
        assert unquote(url) == "http://${__data.fields.instance}/stalls"


def test_the_links_on_rows_name_columns_that_their_table_has() -> None:
    for board in BOARDS.values():
        for panel in panels(board):
            fields = set(re.findall(r"__data\.fields\.(\w+)", json.dumps(panel)))
            if fields:
                (organized,) = (t for t in panel["transformations"] if t["id"] == "organize")
                assert fields <= set(organized["options"]["renameByName"]), panel["title"]


def test_culprits_lead_to_their_log_lines_and_to_the_stalls_page() -> None:
    (table,) = (
        panel for panel in panels(BOARDS["stallscope-event-loop"]) if panel["title"] == "Culprits"
    )

    leads = {urlsplit(url).path for url in strings(table, "url")}
    assert leads == {"/explore", "/stalls"}


def test_routes_on_the_overview_lead_to_their_board() -> None:
    (table,) = (
        panel for panel in panels(BOARDS["stallscope-overview"]) if panel["title"] == "Routes"
    )

    (url,) = strings(table, "url")
    assert url.startswith("/d/stallscope-route?")
    assert url.endswith("&var-route=${__data.fields.http_route:percentencode}")
