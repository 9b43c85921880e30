"""The page stands alone: one document, its own scripts and no others, and nothing to break out."""

import json
import re
from base64 import b64encode
from hashlib import sha256

from middleware.stall.history import StallHistory

from .asking import Answer
from .stall_records import attacking, history_of, history_of_every_cause, stalls_shown


def page_of(history: StallHistory) -> Answer:
    """As a browser gets it."""
    with stalls_shown(history) as port:
        return Answer(port, "/stalls")


def listing_in(page: str) -> str:
    """The JSON inside."""
    found = re.search(
        r'<script type="application/json" id="listing">(.*?)</script>', page, re.DOTALL
    )
    assert found is not None
    return found[1]


def hash_of(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def test_names_from_the_application_cannot_leave_their_place() -> None:
    page = page_of(history_of(attacking())).text

    inside = listing_in(page)
    assert "<" not in inside
    assert json.loads(inside)["stalls"][0]["route"].startswith("/</script><script>")
    assert page.count("<script") == 2
    assert "<img" not in page


def test_a_browser_runs_this_script_and_this_style_and_nothing_else() -> None:
    answer = page_of(history_of_every_cause())

    policy = dict(
        each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";")
    )
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == hash_of(style)
    assert policy["script-src"] == hash_of(script)
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_nothing_is_asked_of_anybody_else() -> None:
    page = page_of(StallHistory()).text.replace("http://www.w3.org/2000/svg", "")

    assert "://" not in page
    assert "innerHTML" not in page


def test_the_page_holds_the_list_as_it_is_now() -> None:
    history = history_of_every_cause()

    listing = json.loads(listing_in(page_of(history).text))

    assert len(listing["stalls"]) == len(history.newest_first())
    assert "stack" not in listing["stalls"][0]
