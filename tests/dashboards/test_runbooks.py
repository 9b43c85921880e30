"""Runbooks: one for each alert, and nothing in them that does not work when it is pasted."""

import re
import shlex
import shutil
from urllib.parse import urlsplit

import promql_parser as promql
import pytest
from pydantic import BaseModel

from dashboards.alerts import ALERTS, rules
from dashboards.names import EMITTED, METRICS, PROMETHEUS
from service.__main__ import _parser
from service.demo.rehearsals import FAULTS
from service.settings import Settings
from tests.dashboards.alert_cases import CASES
from tests.dashboards.reading import BOARDS
from tests.dashboards.runbooks import PAGES, REHEARSED_BY, RUNBOOKS, Block, blocks, commands

pytestmark = pytest.mark.no_cover

ROOT = RUNBOOKS.parents[1]
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Rehearse"]
NAMES = {alert.name for alert in ALERTS}
RECORDED = {
    rule["record"] for group in rules()["groups"] for rule in group["rules"] if "record" in rule
}
LABELS = {sample: metric.labels for metric in METRICS for sample in metric.samples}
ON_EVERY_SERIES = {"job", "instance", "le", "__name__"}
# Paths below these the demo answers, by port: the API, the ops port, the stand-ins.
PATHS = {
    8000: r"/v1/(health|models/status|product/\d+/enriched)",
    9464: r"/(livez|readyz|metrics|inflight|stalls(\.json)?|models/(reload|rollback|promote))",
    8101: r"/(behaviour|products/\d+/reviews)",
    8102: r"/(behaviour|products/\d+)",
}
PROGRAMS = {"curl", "kill", "pgrep", "sleep", "promtool", "amtool", "psql"}

BOARDS_OF = {
    name: {f"stallscope-{alert.board}" for alert in ALERTS if alert.name == name} for name in NAMES
}

each_page = pytest.mark.parametrize("name", PAGES)
each_query = pytest.mark.parametrize("query", list(blocks("promql")), ids=str)
each_command = pytest.mark.parametrize("command", list(commands()), ids=str)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert set(PAGES) == NAMES


@each_page
def test_a_runbook_has_every_section_and_something_to_paste(name: str) -> None:
    page = PAGES[name]

    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert any(query.page == name for query in blocks("promql"))
    assert "```sh" in page.partition("## Rehearse")[2]


@each_page
def test_the_links_of_a_runbook_lead_to_pages_and_boards_that_there_are(name: str) -> None:
    links = set(re.findall(r"\]\(([^)]+)\)", PAGES[name]))

    assert links <= {f"{page}.md" for page in PAGES} | {f"/d/{board}" for board in BOARDS}
    assert {f"/d/{uid}" for uid in BOARDS_OF[name]} & links


@each_page
def test_whoever_reads_of_another_alert_can_go_there(name: str) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`|\[\w+\]\(\w+\.md\)", "", PAGES[name], flags=re.DOTALL)

    assert set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", prose)) & NAMES <= {name}


def test_what_the_demo_can_break_is_what_runbooks_rehearse_with() -> None:
    faults = {fault.name: fault.alert for fault in FAULTS}

    assert set(REHEARSED_BY) <= set(faults)
    rehearsed = {page for fault, pages in REHEARSED_BY.items() for page in pages}
    assert set(faults.values()) <= rehearsed


@each_page
def test_a_rehearsal_by_promtool_is_of_a_case_that_there_is(name: str) -> None:
    chosen = re.findall(r"^\.venv/bin/pytest .* -k (\w+)$", PAGES[name], re.MULTILINE)

    assert set(chosen) <= {name} & {case.alert for case in CASES}


@each_page
def test_settings_are_called_what_they_are_called(name: str) -> None:
    mentioned = re.findall(r"\b[A-Z]+(?:_+[A-Z]+)+\b", PAGES[name])

    ours = {each for each in mentioned if not each.startswith("OTEL_")}
    assert ours - {"DASHBOARDS_URL", "RUNBOOKS_URL"} <= _settings(Settings)


@each_query
def test_a_query_parses_and_asks_for_what_there_is(query: Block) -> None:
    for selector in _selectors(query.text):
        assert selector.name in {None, *EMITTED, *RECORDED, *map(str, PROMETHEUS)}


@each_query
def test_a_query_names_labels_that_there_are(query: Block) -> None:
    known = {
        label for each in _selectors(query.text) for label in LABELS.get(each.name or "", ())
    } | ON_EVERY_SERIES
    grouped = re.findall(r"(?:by|on) \(([^)]*)\)", query.text)

    assert {label.strip() for labels in grouped for label in labels.split(",")} <= known
    for selector in _selectors(query.text):
        labels = LABELS.get(selector.name or "", frozenset())
        if selector.name not in {str(each) for each in PROMETHEUS}:
            assert {each.name for each in selector.matchers.matchers} <= labels | ON_EVERY_SERIES


@each_command
def test_a_command_is_one_that_works_as_written(command: Block) -> None:
    for words in _programs(command.text):
        program, *arguments = words
        if program == "stallscope":
            _parser().parse_args(arguments)
        elif program == ".venv/bin/pytest":
            files = [each for each in arguments if each.endswith(".py")]
            assert files
            assert all((ROOT / each).exists() for each in files)
        else:
            assert program in PROGRAMS, program
            assert program in {"promtool", "amtool", "psql"} or shutil.which(program)
        for argument in arguments:
            _check_place(argument)


def _check_place(argument: str) -> None:
    place = urlsplit(argument)
    if place.scheme == "http" and place.path:
        assert re.fullmatch(PATHS[place.port or 80], place.path), argument
    generated = argument.removeprefix("--config.file=")
    if generated.startswith("dashboards/"):
        assert (ROOT / generated).exists(), argument


def _programs(text: str) -> list[list[str]]:
    """The single commands in a line of shell, without their environment."""
    flat = re.sub(r"\$\(([^)]*)\)", r" ; \1 ; ", text)
    found = []
    for part in re.split(r"&&|;|\n", flat):
        words = shlex.split(part)
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words:
            found.append(words)
    return found


def _selectors(text: str) -> list[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def note(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(text), note)
    return found


def _settings(model: type[BaseModel], prefix: str = "") -> set[str]:
    names = set()
    for name, field in model.model_fields.items():
        names.add(prefix + name.upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= _settings(field.annotation, f"{prefix}{name.upper()}__")
    return names
