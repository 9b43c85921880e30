"""The scene of live tests. Nothing here is covered: without coverage checks are twice as fast."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.scene import Scene, running_scene
from tests.integration.conftest import World, world

__all__ = ["world"]

HERE = Path(__file__).parent
FAULTS = HERE / "test_acceptance.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As if every module here were marked. Faults come last: until then all is well."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.no_cover)
    ordered = iter(sorted(ours, key=lambda item: item.path == FAULTS))
    items[:] = [next(ordered) if item.path.is_relative_to(HERE) else item for item in items]


@pytest.fixture(scope="package")
def scene(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One for all: it takes ten seconds to begin."""
    with running_scene(world, tmp_path_factory.mktemp("scene")) as scene:
        yield scene
