"""Every query of every panel, put to a real Prometheus over a real service that is well.

What it says of a service that is not, test_acceptance.py asks after the faults.
"""

from dataclasses import replace

from tests.dashboards.live import NOT_HERE, still_silent
from tests.dashboards.reading import asked
from tests.dashboards.scene import NEEDS_THE_SCENE, Scene
from tests.dashboards.visitors import visiting
from tests.integration.running import until

pytestmark = NEEDS_THE_SCENE

# Silent while all is well, and that is good. They speak as soon as something is wrong.
GOOD_SILENCE = {
    "stallscope-dependencies: HTTP: errors B",
    "stallscope-dependencies: PostgreSQL: errors B",
    "stallscope-dependencies: Redis: errors B",
    "stallscope-event-loop: Culprits A",
    "stallscope-event-loop: Victims A",
    "stallscope-event-loop: Durations of stalls A",
    "stallscope-models: Rejections A",
    "stallscope-overview: Alerts A",
    "stallscope-overview: Refused requests B",
    "stallscope-overview: Routes C",
    "stallscope-overview: Routes F",
    "stallscope-route: Lost to others' stalls A",
}


def test_exceptions_are_made_for_queries_that_there_are() -> None:
    assert {query.name for query in asked()} >= GOOD_SILENCE | NOT_HERE


def test_every_panel_shows_something_or_is_silent_because_all_is_well(scene: Scene) -> None:
    with visiting(scene.service.url):
        assert still_silent(scene.prometheus, GOOD_SILENCE | NOT_HERE) == []


def test_a_metric_that_is_renamed_by_one_letter_leaves_its_panel_empty(scene: Scene) -> None:
    query = next(each for each in asked() if "asyncio_tasks" in each.expression)
    until(lambda: scene.prometheus.has_data_for(query), "tasks are counted")

    renamed = {**query.target, "expr": query.expression.replace("_tasks", "_task")}

    assert not scene.prometheus.has_data_for(replace(query, target=renamed))
