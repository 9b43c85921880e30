"""The collector waits while the app is observed, keeps still while its frames are looked at, and is
the app's own again afterwards."""

import gc
import sys
from collections.abc import Iterator

import pytest

from middleware.collector import PATIENCE, no_collection, patient_collector


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_waits_for_more_until_left() -> None:
    with patient_collector():
        assert gc.get_threshold() == (PATIENCE, 10, 10)

    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("first", [0, PATIENCE, 50_000])
def test_an_app_that_has_turned_it_off_or_waits_longer_goes_on_so(first: int) -> None:
    gc.set_threshold(first, 5, 5)

    with patient_collector():
        assert gc.get_threshold() == (first, 5, 5)

    assert gc.get_threshold() == (first, 5, 5)


def test_what_the_app_sets_meanwhile_stays() -> None:
    with patient_collector():
        gc.set_threshold(1_000, 10, 10)

    assert gc.get_threshold() == (1_000, 10, 10)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_whichever_of_two_apps_stops_first_its_own_is_left(order: tuple[int, int]) -> None:
    apps = [patient_collector(), patient_collector()]
    for app in apps:
        app.__enter__()

    for number in order:
        apps[number].__exit__(None, None, None)

    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no collection begins there from 3.12 on")
def test_none_begins_while_frames_are_looked_at() -> None:
    gc.set_threshold(1, 1, 1)
    phases: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        phases.append(phase)

    with no_collection():
        gc.callbacks.append(note)
        kept: list[object] = [[] for _ in range(100)]
        gc.callbacks.remove(note)

    assert kept
    assert phases == []
    assert gc.isenabled()


def test_it_stays_off_where_the_app_has_turned_it_off() -> None:
    gc.disable()
    try:
        with no_collection():
            assert not gc.isenabled()

        assert not gc.isenabled()
    finally:
        gc.enable()
