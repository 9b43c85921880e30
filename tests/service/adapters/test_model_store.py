"""Models are loaded beside what serves; what is not right never serves, and no request fails."""

import asyncio
import gc
import shutil
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.adapters.inference_threads import InferenceThreads
from service.adapters.model_folders import ModelFolder
from service.adapters.model_sessions import OpenSession, Session
from service.adapters.model_store import ModelStore
from service.adapters.model_versions import Rollout
from service.adapters.onnx_sessions import onnx_sessions
from service.metrics import ModelMetrics
from service.predictions.domain import (
    IMAGE,
    MODELS,
    SENTIMENT,
    TABULAR,
    DeploymentError,
    ModelNotFoundError,
    ModelNotLoadedError,
)
from service.predictions.ports import Model
from tests.service.adapters.conftest import eventually
from tests.service.adapters.small_models import (
    answers,
    flip_a_byte,
    sha256,
    write_all_models,
    write_model,
)

ROW = {"features": np.array([1.0, 2.0, 3.0], np.float32)}
open_onnx = onnx_sessions(["CPUExecutionProvider"])


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one version of each model."""
    write_all_models(tmp_path)
    return tmp_path


class Stores:
    """Opens stores, whose first loading is over when they are handed out."""

    def __init__(self, models: Path, registry: CollectorRegistry) -> None:
        self._models, self._metrics = models, ModelMetrics(registry)

    @asynccontextmanager
    async def open(
        self,
        rollout: Rollout | None = None,
        *,
        open_session: OpenSession = open_onnx,
        wait: bool = True,
    ) -> AsyncIterator[ModelStore]:
        threads = InferenceThreads(self._metrics, workers=2, most_rows=512)
        store = ModelStore(self._models, open_session, threads, self._metrics, rollout or Rollout())
        async with threads, store:
            if wait:
                await eventually(lambda: "loading" not in store.faults().values())
                await store.reload()
            yield store


@pytest.fixture
def stores(models: Path, registry: CollectorRegistry) -> Stores:
    return Stores(models, registry)


def roles(store: ModelStore, name: str = TABULAR) -> list[tuple[str, str]]:
    return [(state.version, state.role) for state in store.states()[name]]


async def ask(model: Model) -> float:
    """The probability that is the larger, the larger the model's weight."""
    inference = await model.infer([ROW], deadline=time.monotonic() + 20)
    return float(inference.probabilities[0, 1])


def expected(weight: float) -> object:
    return pytest.approx(float(answers([[1.0, 2.0, 3.0]], weight)[0, 1]), abs=1e-5)


@asynccontextmanager
async def under_load(store: ModelStore) -> AsyncIterator[list[float]]:
    """Callers that ask without a pause; a request that fails, fails the test."""
    heard: list[float] = []

    async def call() -> None:
        while True:
            heard.append(await ask(store.choose(TABULAR)))

    async with asyncio.TaskGroup() as callers:
        tasks = [callers.create_task(call()) for _ in range(4)]
        await eventually(lambda: heard)
        yield heard
        seen = len(heard)
        await eventually(lambda: len(heard) > seen + 8)
        for task in tasks:
            task.cancel()


async def test_without_models_nothing_is_ready(tmp_path: Path, registry: CollectorRegistry) -> None:
    (tmp_path / "empty").mkdir()

    async with Stores(tmp_path / "empty", registry).open() as store:
        assert store.faults() == dict.fromkeys(MODELS, "missing")
        with pytest.raises(ModelNotLoadedError):
            store.choose(TABULAR)


async def test_without_the_folder_nothing_is_ready(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    async with Stores(tmp_path / "none", registry).open() as store:
        assert store.faults() == dict.fromkeys(MODELS, "missing")


async def test_a_model_that_is_missing_is_named_and_the_others_serve(
    models: Path, stores: Stores
) -> None:
    shutil.rmtree(models / IMAGE)

    async with stores.open() as store:
        assert store.faults() == {IMAGE: "missing"}
        assert await ask(store.choose(SENTIMENT)) == expected(1.0)
        with pytest.raises(ModelNotLoadedError):
            store.choose(IMAGE)


async def test_a_corrupt_model_is_named_and_the_others_serve(
    models: Path, stores: Stores, registry: CollectorRegistry
) -> None:
    flip_a_byte(models / IMAGE / "v1.0" / "model.onnx")

    async with stores.open() as store:
        fault = "model.onnx is not the file whose SHA-256 the manifest has"
        assert store.faults() == {IMAGE: f"refused: v1.0: {fault}"}
        assert [(each.role, each.fault) for each in store.states()[IMAGE]] == [("refused", fault)]
        assert await ask(store.choose(TABULAR)) == expected(1.0)
        with pytest.raises(ModelNotLoadedError):
            store.choose(IMAGE, "v1.0")
    labels = {"model": IMAGE, "model_version": "v1.0"}
    assert not registry.get_sample_value("ml_model_loaded", labels)


async def test_where_the_newest_is_corrupt_the_one_before_serves(
    models: Path, stores: Stores
) -> None:
    flip_a_byte(write_model(models, version="v1.1") / "model.onnx")

    async with stores.open() as store:
        assert store.faults() == {}
        assert roles(store) == [("v1.1", "refused"), ("v1.0", "current")]


async def test_until_it_is_loaded_a_model_is_loading(stores: Stores) -> None:
    async with stores.open(wait=False) as store:
        assert store.faults() == dict.fromkeys(MODELS, "loading")
        with pytest.raises(ModelNotLoadedError):
            store.choose(TABULAR)
        with pytest.raises(ModelNotLoadedError):
            store.choose(TABULAR, "v1.0")
        await eventually(lambda: not store.faults())


async def test_until_every_version_there_was_at_first_is_loaded_a_model_is_loading(
    models: Path, stores: Stores
) -> None:
    write_model(models, version="v1.1")
    may_go_on = threading.Event()

    def open_slowly(folder: ModelFolder) -> Session:
        if (folder.manifest.name, folder.manifest.version) == (TABULAR, "v1.0"):
            may_go_on.wait()
        return open_onnx(folder)

    async with stores.open(wait=False, open_session=open_slowly) as store:
        try:
            await eventually(lambda: roles(store) == [("v1.1", "current"), ("v1.0", "loading")])
            assert store.faults()[TABULAR] == "loading", "whoever asks for v1.0 would be refused"
        finally:
            may_go_on.set()
        await eventually(lambda: not store.faults())


async def test_a_model_serves_on_while_a_version_that_came_later_is_loaded(
    models: Path, stores: Stores
) -> None:
    may_go_on = threading.Event()

    def open_slowly(folder: ModelFolder) -> Session:
        if folder.manifest.version == "v1.1":
            may_go_on.wait()
        return open_onnx(folder)

    async with stores.open(open_session=open_slowly) as store:
        write_model(models, version="v1.1")
        reloading = asyncio.create_task(store.reload())
        try:
            await eventually(lambda: roles(store) == [("v1.1", "loading"), ("v1.0", "current")])
            assert store.faults() == {}
        finally:
            may_go_on.set()
        await reloading


async def test_unknown_names_and_versions_are_told_what_there_is(
    models: Path, stores: Stores
) -> None:
    write_model(models, version="v1.1")

    async with stores.open() as store:
        with pytest.raises(ModelNotFoundError, match=r"has no version v9; it has v1\.1, v1\.0"):
            store.choose(TABULAR, "v9")
        with pytest.raises(ModelNotFoundError, match=f"there are {IMAGE}, {SENTIMENT}, {TABULAR}"):
            store.choose("other")


async def test_every_version_can_be_chosen_and_the_newest_is_current(
    models: Path, stores: Stores, registry: CollectorRegistry
) -> None:
    for version, weight in (("v1.9", 0.9), ("v1.10", 1.1)):
        write_model(models, version=version, weight=weight)

    async with stores.open() as store:
        assert roles(store) == [("v1.10", "current"), ("v1.9", "available"), ("v1.0", "available")]
        assert await ask(store.choose(TABULAR)) == expected(1.1)
        assert await ask(store.choose(TABULAR, "v1.9")) == expected(0.9)
        for version in ("v1.0", "v1.9", "v1.10"):
            labels = {"model": TABULAR, "model_version": version}
            assert registry.get_sample_value("ml_model_loaded", labels) == 1


async def test_a_model_that_nobody_needs_is_served_too(models: Path, stores: Stores) -> None:
    write_model(models, name="other", weight=0.3)

    async with stores.open() as store:
        assert await ask(store.choose("other")) == expected(0.3)


async def test_a_model_that_nobody_needs_may_fail(models: Path, stores: Stores) -> None:
    flip_a_byte(write_model(models, name="other") / "model.onnx")

    async with stores.open() as store:
        assert store.faults() == {}
        assert roles(store, "other") == [("v1.0", "refused")]


async def test_a_corrupt_new_version_is_refused_under_load(models: Path, stores: Stores) -> None:
    async with stores.open() as store, under_load(store) as heard:
        flip_a_byte(write_model(models, version="v1.1", weight=2.0) / "model.onnx")
        await store.reload()

        assert store.faults() == {}
        assert roles(store) == [("v1.1", "refused"), ("v1.0", "current")]
    assert all(each == expected(1.0) for each in heard)


async def test_a_version_that_rots_on_disk_serves_on(models: Path, stores: Stores) -> None:
    async with stores.open() as store, under_load(store) as heard:
        flip_a_byte(models / TABULAR / "v1.0" / "model.onnx")
        await store.reload()

        assert store.faults() == {}
        assert sorted(roles(store)) == [("v1.0", "current"), ("v1.0", "refused")]
    assert all(each == expected(1.0) for each in heard)


async def test_a_version_that_is_mended_is_no_longer_refused(models: Path, stores: Stores) -> None:
    flip_a_byte(models / TABULAR / "v1.0" / "model.onnx")

    async with stores.open() as store:
        write_model(models)
        await store.reload()

        assert store.faults() == {}
        assert roles(store) == [("v1.0", "current")]


async def test_a_new_version_is_swapped_in_under_load(models: Path, stores: Stores) -> None:
    async with stores.open() as store:
        before = store.choose(TABULAR)
        async with under_load(store) as heard:
            write_model(models, version="v1.1", weight=2.0)
            await store.reload()

            assert roles(store) == [("v1.1", "current"), ("v1.0", "previous")]
        assert heard[-1] == expected(2.0)
        assert await ask(before) == expected(1.0)


async def test_the_same_version_with_other_bytes_is_swapped_in_under_load(
    models: Path, stores: Stores
) -> None:
    async with stores.open() as store:
        async with under_load(store) as heard:
            write_model(models, weight=2.0)
            await store.reload()
        assert heard[-1] == expected(2.0)

        store.rollback(TABULAR)

        assert await ask(store.choose(TABULAR)) == expected(1.0)
        assert await ask(store.choose(TABULAR, "v1.0")) == expected(1.0)


async def test_an_older_version_that_comes_later_is_only_available(
    models: Path, stores: Stores
) -> None:
    async with stores.open() as store:
        write_model(models, version="v0.9", weight=2.0)
        await store.reload()

        assert roles(store) == [("v1.0", "current"), ("v0.9", "available")]


async def test_what_has_not_changed_is_not_loaded_again(models: Path, stores: Stores) -> None:
    async with stores.open() as store:
        before = store.choose(TABULAR)
        await store.reload()

        assert store.choose(TABULAR) is before


async def test_what_is_gone_from_the_folder_is_dropped_unless_it_answers(
    models: Path, stores: Stores, registry: CollectorRegistry
) -> None:
    write_model(models, version="v1.1", weight=2.0)

    async with stores.open() as store:
        shutil.rmtree(models / TABULAR)
        await store.reload()

        assert roles(store) == [("v1.1", "current")]
        assert await ask(store.choose(TABULAR)) == expected(2.0)
        labels = {"model": TABULAR, "model_version": "v1.0"}
        assert registry.get_sample_value("ml_model_loaded", labels) == 0


async def test_a_folder_that_cannot_be_read_changes_nothing(models: Path, stores: Stores) -> None:
    async with stores.open() as store:
        shutil.rmtree(models)
        await store.reload()

        assert store.faults() == {}


async def test_a_dropped_version_is_freed_with_its_last_request(
    models: Path, stores: Stores
) -> None:
    write_model(models, version="v1.1", weight=2.0)

    async with stores.open() as store:
        model = store.choose(TABULAR, "v1.0")
        shutil.rmtree(models / TABULAR / "v1.0")
        await store.reload()
        assert await ask(model) == expected(1.0)

        freed = weakref.ref(model)
        del model
        gc.collect()

        assert freed() is None


CANARY = Rollout(canary_share=0.25)


async def test_a_canary_gets_its_share_of_those_who_name_no_version(
    models: Path, stores: Stores
) -> None:
    async with stores.open(CANARY) as store, under_load(store) as heard:
        write_model(models, version="v1.1", weight=2.0)
        await store.reload()

        assert roles(store) == [("v1.1", "candidate"), ("v1.0", "current")]
        chosen = [store.choose(TABULAR).manifest.version for _ in range(100)]
        assert chosen.count("v1.1") == 25
        assert store.choose(TABULAR, "v1.0").manifest.version == "v1.0"
    assert all(each in (expected(1.0), expected(2.0)) for each in heard)


@pytest.mark.parametrize(
    ("decide", "weight"), [(ModelStore.promote, 2.0), (ModelStore.rollback, 1.0)]
)
async def test_a_candidate_is_decided_on_under_load(
    models: Path, stores: Stores, decide: Callable[[ModelStore, str], None], weight: float
) -> None:
    async with stores.open(CANARY) as store:
        async with under_load(store):
            write_model(models, version="v1.1", weight=2.0)
            await store.reload()
            decide(store, TABULAR)

            chosen = {await ask(store.choose(TABULAR)) for _ in range(20)}
        assert [each == expected(weight) for each in chosen] == [True]
        assert await ask(store.choose(TABULAR, "v1.1")) == expected(2.0)


async def test_a_promotion_can_be_taken_back(models: Path, stores: Stores) -> None:
    async with stores.open(CANARY) as store:
        write_model(models, version="v1.1", weight=2.0)
        await store.reload()
        store.promote(TABULAR)
        store.rollback(TABULAR)
        await store.reload()

        assert roles(store) == [("v1.1", "available"), ("v1.0", "current")]


async def test_a_dropped_candidate_stays_dropped(models: Path, stores: Stores) -> None:
    async with stores.open(CANARY) as store:
        write_model(models, version="v1.1", weight=2.0)
        await store.reload()
        store.rollback(TABULAR)
        await store.reload()

        assert roles(store) == [("v1.1", "available"), ("v1.0", "current")]


async def test_there_is_nothing_to_decide_without_a_second_version(stores: Stores) -> None:
    async with stores.open(CANARY) as store:
        with pytest.raises(DeploymentError):
            store.promote(TABULAR)
        with pytest.raises(DeploymentError):
            store.rollback(TABULAR)
        with pytest.raises(ModelNotFoundError):
            store.rollback("other")


SHADOW = Rollout(shadow=True)


def shadowed(registry: CollectorRegistry, outcome: str) -> float:
    labels = {"model": TABULAR, "model_version": "v1.1", "outcome": outcome}
    return registry.get_sample_value("ml_shadow_rows_total", labels) or 0


@pytest.mark.parametrize(("weight", "outcome"), [(2.0, "agreed"), (-1.0, "disagreed")])
async def test_a_shadow_is_compared_and_never_answers(
    models: Path, stores: Stores, registry: CollectorRegistry, weight: float, outcome: str
) -> None:
    async with stores.open(SHADOW) as store:
        write_model(models, version="v1.1", weight=weight)
        await store.reload()

        for _ in range(10):
            assert await ask(store.choose(TABULAR)) == expected(1.0)

        await eventually(lambda: shadowed(registry, outcome) == 10)
        assert roles(store) == [("v1.1", "candidate"), ("v1.0", "current")]


async def test_a_shadow_that_reads_something_else_fails_alone(
    models: Path, stores: Stores, registry: CollectorRegistry
) -> None:
    async with stores.open(SHADOW) as store:
        folder = write_model(models, version="v1.1")
        (folder / "words.txt").write_text("other")
        files = {name: sha256(folder / name) for name in ("model.onnx", "words.txt")}
        write_model(models, version="v1.1", files=files)
        await store.reload()

        assert await ask(store.choose(TABULAR)) == expected(1.0)

        await eventually(lambda: shadowed(registry, "failed") == 1)


async def test_closing_does_not_wait_for_what_is_not_loaded_yet(stores: Stores) -> None:
    async with stores.open(wait=False):
        pass
