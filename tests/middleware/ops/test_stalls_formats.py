"""Folded stacks and speedscope's format, as other programs read them."""

from dataclasses import replace
from typing import Any

import pytest

from middleware.stall.record import Stall

from .asking import Answer
from .stall_records import CONVERT, HANDLER, SLEEP, WAY_IN, history_of, stall, stalls_shown


def downloaded(known: Stall, ending: str) -> Answer:
    """The file of this stall."""
    with stalls_shown(history_of(known)) as port:
        return Answer(port, f"/stalls/{known.id}{ending}")


def profile_of(known: Stall) -> dict[str, Any]:
    """The one profile in speedscope's file."""
    profile: dict[str, Any] = downloaded(known, ".speedscope.json").json()["profiles"][0]
    return profile


def test_without_any_sample_both_are_empty() -> None:
    nothing = stall(folded=(), stack=(), samples=0)

    assert downloaded(nothing, ".folded").text == ""
    assert (profile_of(nothing)["samples"], profile_of(nothing)["weights"]) == ([], [])


def test_one_stack_that_nobody_counted_is_one_sample() -> None:
    once = stall(folded=(), stack=(HANDLER, SLEEP))

    assert downloaded(once, ".folded").text == "shop.prices:list_prices;shop.prices:fetch_rates 1\n"
    assert profile_of(once)["weights"] == [0.3]


@pytest.mark.parametrize("function", ["a;b", "a\nb", "a b", " a\t;b"])
def test_a_name_cannot_break_a_line_or_a_stack(function: str) -> None:
    odd = stall(folded=(((replace(HANDLER, function=function), SLEEP), 7),))

    (line,) = downloaded(odd, ".folded").text.splitlines()

    stack, _, count = line.rpartition(" ")
    assert (len(stack.split(";")), count) == (2, "7")


def test_folded_stacks_go_from_the_outermost_to_the_innermost() -> None:
    lines = downloaded(stall(), ".folded").text.splitlines()

    way_in = ";".join(frame.name for frame in WAY_IN)
    assert lines == [
        f"{way_in};shop.prices:list_prices;shop.prices:fetch_rates 20",
        f"{way_in};shop.prices:list_prices;shop.prices:convert;shop.prices:rounded 6",
        f"{way_in};shop.prices:list_prices;shop.prices:convert 2",
    ]


def test_samples_at_different_lines_of_a_function_are_one_folded_stack() -> None:
    lines = stall(folded=(((HANDLER,), 2), ((replace(HANDLER, line=21),), 3)))

    assert downloaded(lines, ".folded").text == "shop.prices:list_prices 5\n"


def test_profiles_are_downloads_and_the_facts_are_not() -> None:
    folded, profile = downloaded(stall(), ".folded"), downloaded(stall(), ".speedscope.json")

    assert folded.headers["content-type"] == "text/plain; charset=utf-8"
    named = 'attachment; filename="stall-1-a.folded"'
    assert folded.headers["content-disposition"] == named
    assert profile.headers["content-disposition"].endswith('"stall-1-a.speedscope.json"')
    assert "content-disposition" not in downloaded(stall(), ".json").headers


def test_speedscope_finds_what_its_schema_asks_for() -> None:
    file = downloaded(stall(), ".speedscope.json").json()

    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert file["activeProfileIndex"] == 0
    frames = file["shared"]["frames"]
    assert all(frame.keys() == {"name", "file", "line"} for frame in frames)
    (profile,) = file["profiles"]
    assert (profile["type"], profile["unit"]) == ("sampled", "seconds")
    assert (profile["startValue"], profile["endValue"]) == (0, 0.3)
    assert len(profile["samples"]) == len(profile["weights"]) == 3
    assert sum(profile["weights"]) == pytest.approx(0.3)
    assert {number for sample in profile["samples"] for number in sample} == set(range(len(frames)))


def test_a_speedscope_sample_goes_from_the_outermost_to_the_innermost() -> None:
    file = downloaded(stall(), ".speedscope.json").json()

    names = [frame["name"] for frame in file["shared"]["frames"]]
    assert [names[number] for number in file["profiles"][0]["samples"][2]] == [
        frame.name for frame in (*WAY_IN, HANDLER, CONVERT)
    ]
