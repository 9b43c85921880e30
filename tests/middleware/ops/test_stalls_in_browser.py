"""The page in Chromium: what a person sees, opens, points at, and keeps when all is over."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from middleware.settings import StallSettings
from middleware.stall.history import StallHistory
from middleware.stall.record import Cause, Stall
from tests.browser import DESKTOP, PATIENCE_MS, PHONE, SMALL_PHONE, Visits

from .stall_records import (
    CONVERT,
    HANDLER,
    ROUND,
    SLEEP,
    attacking,
    history_of,
    history_of_every_cause,
    stall,
    stalls_shown,
)

pytestmark = pytest.mark.no_cover

LINKS = StallSettings(
    trace_url="https://traces.example/{trace_id}", logs_url="https://logs.example/{request_id}"
)


def ongoing(stall_id: str = "1-now") -> Stall:
    """One that has just begun."""
    began = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return stall(stall_id, Cause.CPU_GIL_HELD, phase="ongoing", started_at=began)


def test_markup_in_a_name_stays_a_name(visits: Visits) -> None:
    known = attacking()
    with stalls_shown(history_of(known), LINKS) as port:
        visit = visits.at(port, PHONE)
        visit.go()

        page = visit.open(known.id)

        expect(page.locator(".culprit")).to_contain_text("<img src=x onerror=alert(1)>")
        page.locator(".frame").first.hover()
        expect(page.locator(".said")).to_contain_text("<img")
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 2


def test_when_nobody_answers_any_more_the_last_state_stays_and_says_since_when(
    visits: Visits,
) -> None:
    history = history_of(stall("1-a"), ongoing())
    with stalls_shown(history) as port:
        visit = visits.at(port)
        page = visit.go()
        visit.open("1-a")

    expect(page.locator("#status")).to_contain_text("No answer since", timeout=PATIENCE_MS)
    expect(page.get_by_role("alert")).to_contain_text("the last that is known")
    expect(page.locator("details.stall")).to_have_count(2)
    expect(page.locator(".stack .name").first).to_contain_text("fetch_rates")
    visit.complaints = [each for each in visit.complaints if "ERR_CONNECTION" not in each]


def test_without_a_stall_it_says_that_all_is_well(visits: Visits) -> None:
    with stalls_shown(StallHistory()) as port:
        page = visits.at(port).go()

        expect(page.locator("#empty")).to_contain_text("all is well")
        expect(page.locator("#status")).to_have_text("The loop runs")


def test_switched_off_it_does_not_say_that_all_is_well(visits: Visits) -> None:
    with stalls_shown(None) as port:
        page = visits.at(port).go()

        expect(page.locator("#status")).to_have_text("Switched off")
        expect(page.locator("#limits")).to_contain_text("OBSERVABILITY__STALLS")
        expect(page.locator("#empty")).not_to_contain_text("well")


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP])
def test_every_cause_fits_every_screen(size: dict[str, int], visits: Visits) -> None:
    long_file = replace(HANDLER, file="/" + "a_long_folder_name/" * 12 + "prices.py")
    history = history_of_every_cause()
    history.put(stall("1-long", culprit=long_file, stack=(long_file,), trace_id="f" * 32))
    with stalls_shown(history, LINKS) as port:
        visit = visits.at(port, size)
        page = visit.go()

        for known in history.newest_first():
            visit.open(known.id)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), known.id

        expect(page.locator("details.stall[open]")).to_have_count(len(Cause) + 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_ground(scheme: str, visits: Visits) -> None:
    with stalls_shown(history_of_every_cause()) as port:
        visit = visits.at(port, scheme=scheme)
        visit.go()
        page = visit.open("1-0")

        for selector in (".badge", ".place", ".nobody", ".explanation", "time", ".legend li"):
            for contrast in page.locator(selector).evaluate_all(CONTRASTS):
                assert contrast >= 4.5, selector


def test_the_list_tells_how_long_why_who_and_how_many_waited(visits: Visits) -> None:
    history = history_of_every_cause()
    with stalls_shown(history) as port:
        page = visits.at(port).go()

        expect(page.locator("details.stall")).to_have_count(len(Cause))
        first = page.locator('details[data-id="1-0"] > summary')
        for words in (
            "300 ms",
            "blocking call",
            SLEEP.name,
            f"shop_prices.py:{SLEEP.line}",
            SLEEP.source_line,
            "/v1/prices/{currency}",
            "12 requests waited",
        ):
            expect(first).to_contain_text(words)
        expect(page.locator("#mode")).to_contain_text(f"{len(Cause)} stalls since the start")
        expect(page.locator("#limits")).to_contain_text("py-spy")
        expect(page.locator("#delay svg")).to_be_visible()
        expect(page.locator("#utilization-now")).to_contain_text("%")


def test_one_opens_to_its_explanation_stack_victims_and_evidence(visits: Visits) -> None:
    with stalls_shown(history_of(stall("1-a")), LINKS) as port:
        visit = visits.at(port)
        visit.go()

        page = visit.open("1-a")

        body = page.locator(".body")
        expect(body.locator(".explanation")).to_contain_text("clock_nanosleep: it slept")
        expect(body.locator(".remedy")).to_contain_text("await asyncio.sleep")
        expect(body.locator(".stack > li").first).to_contain_text(SLEEP.source_line)
        expect(body.locator(".stack .folded summary")).to_contain_text("5 frames of starlette")
        expect(body.locator(".victims tbody tr")).to_have_count(10)
        expect(body).to_contain_text("and 2 more")
        expect(body.locator("dl")).to_contain_text("clock_nanosleep")
        trace = body.get_by_role("link", name="Trace")
        expect(trace).to_have_attribute("href", f"https://traces.example/{stall().trace_id}")
        with page.expect_download() as download:
            body.get_by_role("link", name="speedscope").click()
        assert download.value.suggested_filename == "stall-1-a.speedscope.json"


def test_the_flame_graph_tells_a_frame_and_its_share(visits: Visits) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        visit = visits.at(port)
        visit.go()
        page = visit.open("1-a")
        frames, said = page.locator(".frame"), page.locator(".said")

        expect(frames).to_have_count(4)  # without the way in
        frames.filter(has_text=SLEEP.function).hover()
        expect(said).to_contain_text("71 % (20 of 28) shop.prices:fetch_rates")

        frames.filter(has_text=CONVERT.function).click()  # enlarges it
        widths = frames.locator("rect").evaluate_all(
            "all => all.map(each => each.width.baseVal.value)"
        )
        expect(frames).to_have_count(3)
        assert widths[0] == widths[1]

        page.keyboard.press("ArrowDown")
        expect(said).to_contain_text(f"21 % (6 of 28) {ROUND.name}")

        page.get_by_role("button", name="Show the 5 frames above").click()
        expect(frames).to_have_count(8)


def test_a_tap_on_a_phone_tells_a_frame(visits: Visits) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        visit = visits.at(port, SMALL_PHONE)
        visit.go()
        page = visit.open("1-a")

        page.locator(".frame").filter(has_text=SLEEP.function).click()

        expect(page.locator(".said")).to_contain_text("71 %")


def test_a_new_stall_comes_on_top_and_what_is_open_stays_open(visits: Visits) -> None:
    history = history_of(stall("1-a"))
    with stalls_shown(history) as port:
        visit = visits.at(port)
        visit.go()
        page = visit.open("1-a")

        history.put(ongoing())

        first = page.locator("details.stall").first
        expect(first).to_have_attribute("data-id", "1-now", timeout=PATIENCE_MS)
        expect(page.locator("#status")).to_contain_text("Blocked for")
        expect(page.locator('details[data-id="1-a"]')).to_have_attribute("open", "")
        before = first.locator(".long").inner_text()
        expect(first.locator(".long")).not_to_have_text(before)

        history.put(replace(ongoing(), phase="ended", duration_seconds=2.5))

        expect(first.locator(".long")).to_have_text("2.50 s", timeout=PATIENCE_MS)
        expect(page.locator("#status")).to_have_text("The loop runs")


def test_an_open_one_learns_what_is_new(visits: Visits) -> None:
    history = history_of(ongoing())
    with stalls_shown(history) as port:
        visit = visits.at(port)
        visit.go()
        page = visit.open("1-now")
        expect(page.locator(".explanation")).to_contain_text("It still lasts.")

        history.put(stall("1-now", Cause.BLOCKING_CALL, duration_seconds=2.5))

        expect(page.locator(".explanation")).to_contain_text("in 2.50 s", timeout=PATIENCE_MS)


def test_one_that_is_being_read_stays_when_the_process_has_forgotten_it(visits: Visits) -> None:
    history = history_of(stall("1-a"))
    with stalls_shown(history) as port:
        visit = visits.at(port)
        visit.go()
        page = visit.open("1-a")

        for number in range(100):
            history.put(stall(f"2-{number}"))

        expect(page.locator("details.stall")).to_have_count(101, timeout=PATIENCE_MS)
        expect(page.locator('details[data-id="1-a"] .explanation')).to_be_visible()


def test_an_alerts_link_opens_its_stall(visits: Visits) -> None:
    with stalls_shown(history_of_every_cause()) as port:
        page = visits.at(port, PHONE).go("#1-0")

        entry = page.locator('details[data-id="1-0"]')
        expect(entry).to_have_attribute("open", "")
        expect(entry.locator(".stack")).to_be_visible()
        expect(entry).to_be_in_viewport()


def test_it_works_from_the_keyboard(visits: Visits) -> None:
    with stalls_shown(history_of(stall("1-a"))) as port:
        page = visits.at(port).go()

        page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        expect(page.locator(".stack")).to_be_visible()


# By https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, against the nearest ground that is painted.
CONTRASTS = """all => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (color) => {
    const [red, green, blue] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return all.map((each) => {
    const grounds = [];
    for (let at = each; at; at = at.parentElement) {
      grounds.unshift(getComputedStyle(at).backgroundColor);
    }
    const ground = luminance(over(grounds));
    const text = luminance(over([...grounds, getComputedStyle(each).color]));
    return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
  });
}"""
