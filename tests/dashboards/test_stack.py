"""What the containers of `docker-compose.yml` are configured with: Prometheus and Alertmanager by
their own programs, the collector, Tempo and Loki by a strict schema; and that it fits together."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from dashboards.generate import GENERATED
from dashboards.links import SERVICE_NAME
from dashboards.slo import seconds_of
from tests.composing import Service, Services, behind, mounts_of, ports_of, published_at
from tests.dashboards.alerting import ALERTMANAGER, AMTOOL
from tests.dashboards.alerting import MISSING as NO_ALERTMANAGER
from tests.dashboards.promtool import MISSING, PROMTOOL
from tests.dashboards.stack import configuration, configuration_path, service, services, text_in
from tests.dashboards.stack_schemas import Collector, Loki, Tempo

needs_prometheus = pytest.mark.skipif(PROMTOOL is None, reason=MISSING)
needs_alertmanager = pytest.mark.skipif(not (ALERTMANAGER and AMTOOL), reason=NO_ALERTMANAGER)


@pytest.fixture(scope="module")
def collector() -> Collector:
    return Collector.model_validate(configuration("collector"))


@pytest.fixture(scope="module")
def tempo() -> Tempo:
    return Tempo.model_validate(configuration("tempo"))


@pytest.fixture(scope="module")
def loki() -> Loki:
    return Loki.model_validate(configuration("loki"))


def printed_by(*command: str) -> str:
    """What a program says. Fails when it complains."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# Prometheus and Alertmanager.
@needs_prometheus
def test_promtool_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    for source, target in mounts_of(service("prometheus")):
        laid_out = tmp_path / target.relative_to("/")
        laid_out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, laid_out)

    said = printed_by(
        "promtool", "check", "config", f"{tmp_path}{configuration_path('prometheus')}"
    )

    assert re.search(r"SUCCESS: \d\d+ rules found", said)


@needs_alertmanager
def test_amtool_finds_nothing_to_complain_about() -> None:
    file = behind(service("alertmanager"), configuration_path("alertmanager"))

    assert file == GENERATED / "alertmanager.yaml"
    assert "SUCCESS" in printed_by("amtool", "check-config", str(file))


@pytest.mark.parametrize(
    ("name", "program"),
    [
        pytest.param("prometheus", "prometheus", marks=needs_prometheus),
        pytest.param("alertmanager", ALERTMANAGER or "", marks=needs_alertmanager),
    ],
)
def test_every_option_is_one_of_the_program(name: str, program: str) -> None:
    options = {each.split("=")[0] for each in service(name)["command"]}

    assert options <= set(re.findall(r"--[\w.-]+", printed_by(program, "--help")))


def test_prometheus_keeps_what_an_slo_looks_back_over_with_exemplars() -> None:
    options = dict(each.split("=", 1) for each in service("prometheus")["command"])

    assert options["--enable-feature"] == "exemplar-storage"
    assert seconds_of(options["--storage.tsdb.retention.time"]) > seconds_of("30d")


def test_each_replica_is_called_as_a_browser_on_this_machine_finds_it() -> None:
    (job,) = configuration("prometheus")["scrape_configs"]
    instances = {
        target: group["labels"]["instance"]
        for group in job["static_configs"]
        for target in group["targets"]
    }

    assert job["job_name"] == SERVICE_NAME
    assert instances == {
        f"{name}:9464": published_at(each, 9464)
        for name, each in services().items()
        if each.get("command") == ["serve"]
    }


# Addresses: whoever is given one finds somebody there.
def addresses_in(value: object) -> Iterator[tuple[str, int]]:
    """Each host:port, at any depth; not those of this machine, which are numbers."""
    if isinstance(value, str):
        for host, port in re.findall(r"(?:^|[/@])([a-z][a-z0-9-]*):(\d+)(?=$|[/?])", value):
            yield host, int(port)
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from addresses_in(each)


def nobody_at(value: object, containers: Services) -> list[str]:
    """The addresses at which no container listens."""
    listening = {name: ports_of(each) for name, each in containers.items()}
    for each in containers.values():
        for alias in (each["networks"]["default"] or {}).get("aliases", []):
            listening[alias] = ports_of(each)
    return [f"{h}:{p}" for h, p in addresses_in(value) if p not in listening.get(h, set())]


def given_to(container: Service) -> list[Any]:
    """Its environment, its command, its configuration files."""
    files = [
        file
        for source, _ in mounts_of(container)
        for file in ([source] if source.is_file() else sorted(source.glob("*.yaml")))
    ]
    said = [container.get("environment"), container.get("command")]
    return [*said, *(yaml.safe_load(file.read_text()) for file in files)]


def test_every_address_that_a_container_is_given_is_a_containers() -> None:
    given = [given_to(each) for each in services().values()]

    assert {("webhook", 8080), ("tempo", 3200), ("loki", 3100)} <= set(addresses_in(given))
    assert nobody_at(given, services()) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("http://tempo:4318", "http://tempo:4317"),
        ("http://loki:3100/otlp", "http://locki:3100/otlp"),
        ("alertmanager:9093", "alertmanager:9094"),
        ("postgresql://stallscope:x@postgres:5432/stallscope", "postgresql://s:x@postgre:5432/s"),
        ("http://service:8000", "http://service:8001"),
    ],
)
def test_an_address_where_nobody_listens_is_found(right: str, wrong: str) -> None:
    assert nobody_at(right, services()) == []
    assert len(nobody_at(wrong, services())) == 1


def test_what_is_exposed_is_what_is_listened_on(
    collector: Collector, tempo: Tempo, loki: Loki
) -> None:
    lines, spans = collector.receivers.fluentforward, collector.receivers.otlp.protocols.http
    traces = tempo.distributor.receivers.otlp.protocols.http

    assert ports_of(service("collector")) == {lines.port, spans.port}
    assert ports_of(service("tempo")) == {traces.port, tempo.server.http_listen_port}
    assert ports_of(service("loki")) == {loki.server.http_listen_port}
    for each in services().values():
        if "--port" in (each.get("command") or []):
            assert ports_of(each) == {int(each["command"][-1])}


def test_a_health_check_asks_at_a_port_that_is_listened_on() -> None:
    for each in services().values():
        test = " ".join(each.get("healthcheck", {}).get("test") or [])
        assert {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", test)} <= ports_of(each)


# The collector.
def test_pipelines_use_what_is_defined_and_all_of_it(collector: Collector) -> None:
    defined, pipelines = configuration("collector"), collector.service.pipelines.values()

    for kind in ("receivers", "processors", "exporters"):
        assert set(defined[kind]) == {each for one in pipelines for each in getattr(one, kind)}


def test_docker_sends_what_replicas_print_to_the_collector(collector: Collector) -> None:
    logging = service("service-1")["logging"]
    port = collector.receivers.fluentforward.port

    assert logging["driver"] == "fluentd"
    assert logging["options"]["fluentd-address"] == published_at(service("collector"), port)
    assert collector.service.pipelines["logs"].receivers == ["fluentforward"]


def test_spans_and_lines_carry_the_name_that_boards_ask_for() -> None:
    (named,) = configuration("collector")["processors"]["resource/service"]["attributes"]

    assert (named["key"], named["value"]) == ("service.name", SERVICE_NAME)
    assert service("service-1")["environment"]["OTEL_SERVICE_NAME"] == SERVICE_NAME


# The schemas themselves.
@pytest.mark.parametrize(
    ("schema", "name", "right", "wrong"),
    [
        (Collector, "collector", "fluentforward:", "fluentfoward:"),
        (Collector, "collector", "upsert", "upset"),
        (Tempo, "tempo", "block_retention", "retention"),
        (Tempo, "tempo", "0.0.0.0:4318", "127.0.0.1:4318"),
        (Loki, "loki", "delete_request_store", "delete_store"),
        (Loki, "loki", "v13", "v11"),
    ],
)
def test_a_mistaken_setting_is_found(
    schema: type[BaseModel], name: str, right: str, wrong: str
) -> None:
    text = text_in(name, configuration_path(name))
    assert right in text

    with pytest.raises(ValidationError):
        schema.model_validate(yaml.safe_load(text.replace(right, wrong)))
