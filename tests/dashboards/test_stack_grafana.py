"""What Grafana of `docker-compose.yml` is provisioned with, and that links lead somewhere."""

import json
import re

import pytest
import yaml
from pydantic import ValidationError

from dashboards.links import LOKI, SERVICE_NAME
from middleware.logs.json_lines import json_line
from tests.composing import behind, published_at
from tests.dashboards.grafana_schemas import (
    Datasources,
    LokiSource,
    PrometheusSource,
    Providers,
    TempoSource,
)
from tests.dashboards.reading import BOARDS, strings
from tests.dashboards.stack import service, text_in

SOURCES = "/etc/grafana/provisioning/datasources/stack.yaml"
PROVIDERS = "/etc/grafana/provisioning/dashboards/stack.yaml"


@pytest.fixture(scope="module")
def sources() -> Datasources:
    return Datasources.model_validate(yaml.safe_load(text_in("grafana", SOURCES)))


def test_every_data_source_that_is_named_is_provisioned_once(sources: Datasources) -> None:
    uids = [each.uid for each in sources.datasources]
    on_boards = {uid for board in BOARDS.values() for uid in strings(board, "uid")} - set(BOARDS)
    chosen = {
        variable["current"]["value"]
        for board in BOARDS.values()
        for variable in board["templating"]["list"]
        if variable["type"] == "datasource"
    }
    linked = set(strings(yaml.safe_load(text_in("grafana", SOURCES)), "datasourceUid"))

    assert sorted(uids) == ["alertmanager", "loki", "prometheus", "tempo"]
    assert (on_boards - {"${datasource}", "-- Grafana --"}) | chosen | {LOKI} | linked <= set(uids)
    assert [each.uid for each in sources.datasources if each.is_default] == ["prometheus"]


def test_grafana_finds_every_dollar_doubled() -> None:
    text = re.sub(r"#.*", "", text_in("grafana", SOURCES))

    assert set(re.findall(r"\$+", text)) == {"$$"}


def test_an_exemplar_leads_to_its_trace_a_trace_to_its_lines_and_a_line_back(
    sources: Datasources,
) -> None:
    all_of = sources.datasources
    (exemplar,) = next(
        each.json_data.exemplar_trace_id_destinations
        for each in all_of
        if isinstance(each, PrometheusSource)
    )
    lines = next(
        each.json_data.traces_to_logs_v2 for each in all_of if isinstance(each, TempoSource)
    )
    (back,) = next(each.json_data.derived_fields for each in all_of if isinstance(each, LokiSource))
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"

    found = re.search(back.matcher_regex, json_line({"event": "x", "trace_id": trace_id}).decode())

    assert found
    assert found[1] == trace_id
    assert lines.query.startswith(f'{{service_name="{SERVICE_NAME}"}} | json | trace_id=')
    assert exemplar.name == "trace_id"  # as the middleware has it
    assert (exemplar.datasource_uid, lines.datasource_uid, back.datasource_uid) == (
        *("tempo", LOKI, "tempo"),
    )


def test_grafana_finds_every_board() -> None:
    (provider,) = Providers.model_validate(yaml.safe_load(text_in("grafana", PROVIDERS))).providers

    found = behind(service("grafana"), provider.options.path)

    assert {json.loads(each.read_text())["uid"] for each in found.glob("*.json")} == set(BOARDS)


def test_every_address_in_an_alert_is_grafanas_and_leads_to_a_page() -> None:
    grafana = service("grafana")
    base = grafana["environment"]["GF_SERVER_ROOT_URL"].rstrip("/")
    rules = yaml.safe_load(text_in("prometheus", "/etc/prometheus/rules.yaml"))
    runbooks, boards = [set(strings(rules, key)) for key in ("runbook_url", "dashboard_url")]

    assert base == f"http://{published_at(grafana, 3000)}"
    assert runbooks
    for each in runbooks:
        page = each.removeprefix(f"{base}/public/")
        assert behind(grafana, f"/usr/share/grafana/public/{page}").is_file()
    assert {each.removeprefix(f"{base}/d/").partition("?")[0] for each in boards} <= set(BOARDS)


def test_the_stalls_page_leads_to_the_trace_and_the_lines() -> None:
    environment = service("service-1")["environment"]
    base = f"http://{published_at(service('grafana'), 3000)}/explore?"

    for name, uid in (("STALL__TRACE_URL", "tempo"), ("STALL__LOGS_URL", LOKI)):
        address, _, panes = environment[name].partition("panes=")
        assert address.startswith(base)
        assert json.loads(panes)["a"]["datasource"] == uid


def test_nobody_looks_at_grafana_without_its_password() -> None:
    environment = service("grafana")["environment"]

    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("apiVersion: 1", "apiVersion: 2"),
        ("tracesToLogsV2", "tracesToLogs"),
        ("type: tempo", "type: tempoo"),
        ("http://tempo:3200", "tempo:3200"),
        ("urlDisplayLabel", "urlLabel"),
    ],
)
def test_a_mistaken_setting_is_found(right: str, wrong: str) -> None:
    text = text_in("grafana", SOURCES)
    assert right in text

    with pytest.raises(ValidationError):
        Datasources.model_validate(yaml.safe_load(text.replace(right, wrong)))
