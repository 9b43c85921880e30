"""`/stalls.json` and what is below `/stalls/`: every fact, and no more than was asked for."""

import threading
from dataclasses import replace

import pytest

from middleware.settings import StallSettings
from middleware.stall.history import Moment, StallHistory
from middleware.stall.record import Cause

from .asking import PATIENCE_SECONDS, Answer
from .stall_records import (
    HANDLER,
    SLEEP,
    WAY_IN,
    history_of,
    history_of_every_cause,
    stall,
    stalls_shown,
)

PATHS = ["/stalls", "/stalls.json", "/stalls/1-a.json", "/stalls/1-a.folded"]


@pytest.mark.parametrize(
    "path",
    [
        "/stalls/1-b.json",
        "/stalls/1-a",
        "/stalls/1-a.svg",
        "/stalls/",
        "/stalls/*",
        "/stalls/.json",
        "/stalls/1-a/1-a.json",
        "/stalls/../stalls/1-a.json/",
        "/stalls/%0d%0aX-Evil:%20yes.json",
    ],
)
def test_what_is_not_there_is_a_problem(path: str) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        answer = Answer(port, path)

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_there_is_nothing_to_see(path: str) -> None:
    with stalls_shown(history_of(stall("1-a")), token="s3cret") as port:
        refused = Answer(port, path)
        given = Answer(port, path, Authorization="Bearer s3cret")

    assert (refused.status, given.status) == (401, 200)
    assert "prices" not in refused.text


@pytest.mark.parametrize("path", PATHS)
def test_stalls_are_for_reading(path: str) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        answer = Answer(port, path, "POST")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PATHS)
def test_head_asks_the_same_without_content(path: str) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        head, got = Answer(port, path, "HEAD"), Answer(port, path)

    assert (head.status, head.body) == (200, b"")
    assert head.headers.keys() == got.headers.keys()
    assert got.headers["cache-control"] == "no-store"


def test_switched_off_says_so_in_words() -> None:
    with stalls_shown(None) as port:
        listing, page = Answer(port, "/stalls.json").json(), Answer(port, "/stalls")

    assert (listing["mode"], listing["total"], listing["stalls"]) == ("off", 0, [])
    assert "OBSERVABILITY__STALLS" in listing["limits"][0]
    assert "OBSERVABILITY__STALLS" in page.text


def test_names_that_no_encoding_has_can_be_shown() -> None:
    broken = replace(HANDLER, function="f\udcff", file="/\udcff.py")
    history = history_of(stall("1-a", culprit=broken, stack=(broken,), folded=(((broken,), 1),)))

    with stalls_shown(history) as port:
        answers = [Answer(port, path) for path in PATHS]

    assert {answer.status for answer in answers} == {200}


def test_the_first_page_links_the_list_and_no_pattern() -> None:
    with stalls_shown(StallHistory()) as port:
        page = Answer(port, "/").text

    assert 'href="/stalls"' in page
    assert "*" not in page


def test_stalls_are_listed_newest_first_with_every_fact() -> None:
    old, new = stall("1-a"), stall("1-b", Cause.GC_PAUSE)

    with stalls_shown(history_of(old, new)) as port:
        listing = Answer(port, "/stalls.json").json()

    assert [each["id"] for each in listing["stalls"]] == ["1-b", "1-a"]
    assert set(old.facts()) | {"explanation"} == set(listing["stalls"][1])
    assert listing["stalls"][1]["culprit"]["source_line"]
    assert (listing["mode"], listing["limits"], listing["total"]) == ("watchdog", [], 2)


def test_the_last_two_minutes_of_the_loop_are_told() -> None:
    history = StallHistory()
    history.moments.extend(Moment(float(at), 0.001, 0.25) for at in range(150))

    with stalls_shown(history) as port:
        listing = Answer(port, "/stalls.json").json()

    moments = listing["loop"]["moments"]
    assert [moment["at"] for moment in moments] == list(range(30, 150))
    assert moments[0] == {"at": 30.0, "longest_delay_seconds": 0.001, "utilization_ratio": 0.25}
    assert listing["now"] > 1e9


def test_what_is_new_of_a_stall_replaces_what_was() -> None:
    history = history_of(stall("1-a", phase="ongoing"))

    with stalls_shown(history) as port:
        before = Answer(port, "/stalls.json").json()
        history.put(stall("1-a", duration_seconds=9.0))
        after = Answer(port, "/stalls.json").json()

    assert [each["phase"] for each in before["stalls"]] == ["ongoing"]
    assert [(each["phase"], each["duration_seconds"]) for each in after["stalls"]] == [
        ("ended", 9.0)
    ]


def test_briefly_there_are_neither_stacks_nor_victims() -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        brief = Answer(port, "/stalls.json?brief").json()["stalls"][0]
        full = Answer(port, "/stalls.json").json()["stalls"][0]

    assert full.keys() - brief.keys() == {"stack", "victims"}
    assert brief.items() <= full.items()


def test_a_hundred_stalls_of_deep_stacks_are_briefly_little() -> None:
    deep = tuple(replace(HANDLER, line=line % 30 + 1) for line in range(200))
    samples = tuple((deep[:depth], 1) for depth in range(1, 200))
    history = history_of(
        *(stall(f"1-{number}", stack=deep, folded=samples) for number in range(99))
    )

    with stalls_shown(history) as port:
        brief = Answer(port, "/stalls.json?brief")

    assert len(brief.body) < 150_000


def test_a_stall_may_come_while_others_are_listed() -> None:
    history = history_of_every_cause()
    finished = threading.Event()

    def put_again_and_again() -> None:
        number = 0
        while not finished.is_set():
            history.put(stall(f"2-{number}"))
            history.moments.append(Moment(0.0, 0.0, 0.0))
            number += 1

    busy = threading.Thread(target=put_again_and_again, daemon=True)
    with stalls_shown(history) as port:
        busy.start()
        statuses = {Answer(port, "/stalls.json").status for _ in range(5)}
        finished.set()
        busy.join(PATIENCE_SECONDS)

    assert statuses == {200}


def test_one_stall_has_its_samples_its_lines_and_what_helps() -> None:
    known = stall("1-a")

    with stalls_shown(history_of(known)) as port:
        whole = Answer(port, "/stalls/1-a.json").json()

    assert whole["remedy"] == "Write await asyncio.sleep(…)."
    assert whole["explanation"].startswith("The thread used 3 ms of CPU")
    names = [frame["function"] for frame in whole["frames"]]
    stacks = [[names[number] for number in each["stack"]] for each in whole["folded"]]
    assert stacks[0] == [frame.function for frame in (*WAY_IN, HANDLER, SLEEP)]
    assert [each["count"] for each in whole["folded"]] == [20, 6, 2]
    assert whole["stack"][-1]["source_line"] == SLEEP.source_line


def test_the_applications_frames_are_told_from_the_libraries() -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        stack = Answer(port, "/stalls/1-a.json").json()["stack"]

    own = [frame["module"] for frame in stack if frame["application"]]
    assert own == ["shop.prices", "shop.prices"]


def test_links_lead_to_the_trace_and_the_logs() -> None:
    settings = StallSettings(
        trace_url='https://traces/?left={"q":"{trace_id}"}',
        logs_url="https://logs/{request_id}/{id}",
    )
    known = stall("1-a", request_id="a/b?c", trace_id="f00")

    with stalls_shown(history_of(known), settings) as port:
        links = Answer(port, "/stalls/1-a.json").json()["links"]

    assert links == {
        "trace": 'https://traces/?left={"q":"f00"}',
        "logs": "https://logs/a%2Fb%3Fc/1-a",
    }


def test_there_is_no_link_to_what_is_not_known_or_not_configured() -> None:
    settings = StallSettings(trace_url="https://traces/{trace_id}")

    with stalls_shown(history_of(stall("1-a", trace_id=None)), settings) as port:
        whole = Answer(port, "/stalls/1-a.json").json()

    assert whole["links"] == {}
