"""Of all that stands on the stack, the application's own line is named; never one that is not."""

import json
import random
import sys
from collections import Counter
from os.path import join
from pathlib import Path

import pydantic
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

import middleware.observability
from middleware.stall.culprit import Territory, guilty_frame, guilty_of, module_of
from middleware.stall.record import Frame, Stack

patient = settings(deadline=None, max_examples=60)  # the machine has other work, too

TERRITORY = Territory(
    ours="/srv/app/middleware/",
    standard_library=("/usr/lib/python3.13/",),
    installed=("/usr/lib/python3.13/site-packages/",),
    application=("/usr/lib/python3.13/site-packages/shop/",),
)

OURS = ["/srv/app/middleware/observability.py", "/srv/app/middleware/stall/heartbeat.py"]
STANDARD = ["/usr/lib/python3.13/re/__init__.py", "<frozen os>", "<string>"]
INSTALLED = [
    "/usr/lib/python3.13/site-packages/starlette/routing.py",
    "/home/me/.venv/lib/python3.13/site-packages/uvicorn/server.py",
    "/usr/lib/python3/dist-packages/yaml/loader.py",
]
APPLICATION = [
    "/srv/app/main.py",
    "/srv/app/middleware_of_the_app.py",
    "/usr/lib/python3.13/site-packages/shop/cart.py",
]


def frames_of(files: list[str]) -> st.SearchStrategy[Frame]:
    return st.builds(
        Frame,
        module=st.sampled_from(["m", "n"]),
        function=st.sampled_from(["f", "g", "C.h"]),
        file=st.sampled_from(files),
        line=st.integers(1, 5),
    )


def stacks_of(files: list[str], least: int = 0) -> st.SearchStrategy[Stack]:
    return st.lists(frames_of(files), min_size=least, max_size=12).map(tuple)


ANY = [*OURS, *STANDARD, *INSTALLED, *APPLICATION]
FOLDED = st.dictionaries(stacks_of(ANY), st.integers(1, 500), max_size=8).map(
    lambda counts: tuple(counts.items())
)


def frame(file: str, line: int = 1, function: str = "f") -> Frame:
    return Frame("m", function, file, line)


@patient
@given(stacks_of([*OURS, *STANDARD]))
def test_where_there_is_neither_application_nor_library_nobody_is_guilty(stack: Stack) -> None:
    assert guilty_frame(stack, TERRITORY) is None


@patient
@given(stacks_of(ANY))
def test_the_guilty_frame_is_one_of_the_stack_and_neither_ours_nor_the_standard_librarys(
    stack: Stack,
) -> None:
    guilty = guilty_frame(stack, TERRITORY)

    assert guilty is None or guilty in stack
    assert guilty is None or guilty.file not in {*OURS, *STANDARD}


@patient
@given(stacks_of(ANY), frames_of(APPLICATION), stacks_of([*OURS, *STANDARD, *INSTALLED]))
def test_the_innermost_frame_of_the_application_is_guilty_whatever_it_has_called(
    callers: Stack, application: Frame, called: Stack
) -> None:
    assert guilty_frame((*callers, application, *called), TERRITORY) == application


@patient
@given(
    stacks_of([*OURS, *STANDARD, *INSTALLED]),
    frames_of(INSTALLED),
    stacks_of([*OURS, *STANDARD]),
)
def test_without_an_application_the_innermost_library_is_guilty(
    callers: Stack, library: Frame, called: Stack
) -> None:
    assert guilty_frame((*callers, library, *called), TERRITORY) == library


def test_of_no_samples_nobody_is_guilty() -> None:
    assert guilty_of((), TERRITORY) == (None, ())


@patient
@given(FOLDED)
def test_the_culprit_is_guilty_on_the_stack_that_is_shown(
    folded: tuple[tuple[Stack, int], ...],
) -> None:
    culprit, shown = guilty_of(folded, TERRITORY)

    assert not folded or shown in dict(folded)
    assert culprit == guilty_frame(shown, TERRITORY)


@patient
@given(FOLDED)
def test_nobody_is_guilty_only_when_no_sample_has_a_guilty_frame(
    folded: tuple[tuple[Stack, int], ...],
) -> None:
    culprit, _ = guilty_of(folded, TERRITORY)

    assert (culprit is None) == all(guilty_frame(each, TERRITORY) is None for each, _ in folded)


@patient
@given(FOLDED)
def test_no_function_was_seen_more_often_than_the_culprits(
    folded: tuple[tuple[Stack, int], ...],
) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for stack, count in folded:
        guilty = guilty_frame(stack, TERRITORY)
        if guilty is not None:
            seen[guilty.file, guilty.function] += count

    culprit, _ = guilty_of(folded, TERRITORY)

    assert culprit is None or seen[culprit.file, culprit.function] == max(seen.values())


@patient
@given(FOLDED, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_say_how_often_the_culprit_was_seen(
    folded: tuple[tuple[Stack, int], ...], randomness: random.Random
) -> None:
    shuffled = tuple(randomness.sample(folded, len(folded)))

    assert times_guilty(folded) == times_guilty(shuffled)


def times_guilty(folded: tuple[tuple[Stack, int], ...]) -> int:
    culprit, _ = guilty_of(folded, TERRITORY)
    return sum(
        count
        for stack, count in folded
        if culprit is not None
        and (guilty := guilty_frame(stack, TERRITORY)) is not None
        and (guilty.file, guilty.function) == (culprit.file, culprit.function)
    )


def test_a_loop_seen_on_all_of_its_lines_outweighs_one_line_elsewhere() -> None:
    loop = [(frame("/srv/app/main.py", line, "spin"),) for line in (1, 2, 3)]
    elsewhere = (frame("/srv/app/main.py", 9, "parse"),)

    culprit, _ = guilty_of([(elsewhere, 4), *((each, 3) for each in loop)], TERRITORY)

    assert culprit is not None
    assert culprit.function == "spin"


@pytest.mark.parametrize(
    "file", [join("/srv/app", "middlewareish", "x.py"), "/srv/lib/python3.13/x.py", "/main.py"]
)
def test_whose_name_only_resembles_ours_or_the_standard_librarys_is_the_application(
    file: str,
) -> None:
    assert TERRITORY.is_application(file)


def test_an_installed_middleware_is_still_ours() -> None:
    installed = "/srv/.venv/lib/python3.13/site-packages/"
    territory = Territory(f"{installed}middleware/", ("/usr/lib/python3.13/",), (installed,))

    assert guilty_frame((frame(f"{installed}middleware/exchange.py"),), territory) is None


@pytest.mark.parametrize("file", [json.__file__, random.__file__, "<frozen os>"])
def test_here_the_standard_library_is_skipped(file: str) -> None:
    assert Territory.here().is_skipped(file)


def test_here_the_middleware_is_skipped() -> None:
    assert Territory.here().is_skipped(middleware.observability.__file__)


@pytest.mark.parametrize("file", [structlog.__file__, pydantic.__file__, pytest.__file__])
def test_here_packages_are_installed_and_not_the_application(file: str) -> None:
    here = Territory.here()

    assert here.is_installed(file)
    assert not here.is_application(file)


def test_here_this_test_is_the_application() -> None:
    assert Territory.here().is_application(__file__)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/srv/app/shop/cart.py", "shop.cart"),
        ("/srv/app/shop/__init__.py", "shop"),
        ("/srv/app/main.py", "main"),
        ("/srv/app/vendored/tools.py", "tools"),  # the longest root that it is below
        ("/elsewhere/deep/script.py", "script"),
        ("/srv/application/main.py", "main"),
    ],
)
def test_a_module_is_named_as_it_would_be_imported(file: str, module: str) -> None:
    assert module_of(file, ["", "/srv/app", "/srv/app/vendored"]) == module


def test_here_a_module_is_named_as_it_was_imported() -> None:
    assert module_of(structlog.__file__) == structlog.__name__
    assert module_of(__file__, [str(Path(__file__).parents[3])]) == __name__


def test_a_frame_shows_the_line_that_stands_there(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_bytes(b"def buy():\n    wait()  # \xff\n")

    assert frame(str(file), 2).source_line == "wait()  # \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("line", [-1, 0, 3, sys.maxsize])
def test_a_line_that_does_not_exist_is_shown_as_nothing(tmp_path: Path, line: int) -> None:
    file = tmp_path / "shop.py"
    file.write_text("import this\n")

    assert frame(str(file), line).source_line == ""


@pytest.mark.parametrize("file", ["<string>", "/nowhere/at/all.py", "/", "with\0zero.py"])
def test_a_file_that_cannot_be_read_is_shown_as_nothing(file: str) -> None:
    assert frame(file).source_line == ""
