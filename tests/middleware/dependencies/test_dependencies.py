"""What holds for all dependencies: nothing at import, every technology optional, series bounded."""

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from middleware.dependencies import DependencyMetrics
from middleware.dependencies.durations import MAX_LABEL_SETS, Durations
from middleware.dependencies.error_types import ErrorTypes
from middleware.dependencies.guard import Guard
from middleware.drops import Drops
from tests.middleware.dependencies.conftest import Scrape

WITHOUT = """
import sys
for technology in ("asyncpg", "redis", "aiohttp"):
    sys.modules[technology] = None
from prometheus_client import CollectorRegistry
from middleware.dependencies import DependencyMetrics
dependencies = DependencyMetrics(CollectorRegistry())
try:
    dependencies.aiohttp_trace_config()
except ImportError as error:
    print(error)
"""


def test_none_of_the_technologies_is_needed_before_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )

    assert "aiohttp" in done.stdout


def test_label_sets_beyond_the_limit_are_one_and_counted_as_dropped(
    registry: CollectorRegistry, scrape: Scrape
) -> None:
    durations = Durations("d_seconds", "…", ["a", "b"], [1.0], registry, Guard(Drops(registry)))

    for number in range(MAX_LABEL_SETS + 1000):
        durations.observe(0.5, (str(number), "b"))

    assert len(scrape.samples("d_seconds_count")) == MAX_LABEL_SETS + 1
    assert scrape.value("d_seconds_count", a="other", b="other") == 1000
    assert scrape.dropped() == 1000


def test_a_guard_lets_interruptions_pass(registry: CollectorRegistry, scrape: Scrape) -> None:
    guard = Guard(Drops(registry))

    with pytest.raises(KeyboardInterrupt), guard:
        raise KeyboardInterrupt
    with guard:
        raise RuntimeError

    assert scrape.dropped() == 1


def test_without_a_place_to_count_faults_are_still_swallowed() -> None:
    with Guard(None):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (None, ""),
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ConnectionAbortedError(), "ConnectionError"),
        (FileNotFoundError(), "OSError"),
        (ValueError(), "_OTHER"),
    ],
)
def test_an_error_type_is_one_of_few_words(error: BaseException | None, name: str) -> None:
    assert ErrorTypes().name_of(error) == name


def test_two_sets_of_metrics_on_registries_of_their_own_do_not_mix() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()

    DependencyMetrics(first)
    DependencyMetrics(second)

    assert [family.name for family in first.collect()] == [f.name for f in second.collect()]
