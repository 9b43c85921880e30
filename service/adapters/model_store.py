"""The models of a folder, loaded beside whatever serves, and swapped in when they are right."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import structlog

from service.adapters.inference_threads import InferenceThreads
from service.adapters.model_folders import ModelFolderError, find_versions, read_folder
from service.adapters.model_loading import LoadedModel, load
from service.adapters.model_sessions import OpenSession
from service.adapters.model_shadow import ShadowedModel
from service.adapters.model_versions import ModelVersions, Rollout
from service.adapters.thread_priority import Niceness, step_back
from service.background import Background
from service.metrics import ModelMetrics
from service.predictions.domain import MODELS, ModelNotFoundError, ModelUnavailableError
from service.predictions.ports import Model, VersionState

log = structlog.get_logger()

AGAIN_SECONDS = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class ModelStore:
    """Serves every version in `folder`, `<name>/<version>/`; `MODELS` have to be among them.

    Entered, it loads in the background; what is loaded serves at once.
    """

    def __init__(
        self,
        folder: Path,
        open_session: OpenSession,
        threads: InferenceThreads,
        metrics: ModelMetrics,
        rollout: Rollout,
    ) -> None:
        self._folder = folder
        self._open_session = open_session
        self._threads = threads
        self._metrics = metrics
        self._rollout = rollout
        self._models = {name: ModelVersions(name, rollout) for name in MODELS}
        self._background = Background(grace_seconds=0)
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(
            1, "model-loading", initializer=step_back, initargs=(Niceness.COMPUTING,)
        )

    async def __aenter__(self) -> Self:
        await self._background.__aenter__()
        self._background.start(self.reload(), name="model_loading")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._background.__aexit__(exc_type, exc, traceback)
        await asyncio.to_thread(self._thread.shutdown)

    def choose(self, name: str, version: str | None = None) -> Model:
        """As `ports.Runtime` says."""
        versions = self._versions(name)
        model = versions.choose(version)
        candidate = versions.candidate
        if self._rollout.shadow and version is None and candidate and model is versions.current:
            return ShadowedModel(model, candidate, self._background, self._metrics)
        return model

    def states(self) -> Mapping[str, Sequence[VersionState]]:
        """As `ports.Runtime` says."""
        return {name: versions.states() for name, versions in self._models.items()}

    def faults(self) -> Mapping[str, str]:
        """As `ports.Runtime` says; never empty while there is no model at all."""
        faults = {name: self._models[name].fault() for name in MODELS}
        return {name: fault for name, fault in faults.items() if fault is not None}

    def promote(self, name: str) -> None:
        """As `ports.Runtime` says."""
        self._versions(name).promote()
        log.info("model_promoted", model=name, model_version=self._current_version(name))

    def rollback(self, name: str) -> None:
        """As `ports.Runtime` says."""
        self._versions(name).rollback()
        log.warning("model_rolled_back", model=name, model_version=self._current_version(name))

    async def reload(self) -> None:
        """Load what is new or changed, refuse what is not right, and drop what is gone.

        The version that answers is kept, whatever became of its folder.
        """
        async with self._one_at_a_time:
            found = await self._on_thread(self._find)
            for name in self._models.keys() | found.keys():
                versions = self._models.setdefault(name, ModelVersions(name, self._rollout))
                self._change(versions, partial(versions.look_for, found.get(name, ())))
            unreachable = [
                await self._refresh(self._models[name], version)
                for name, version in _newest_first(found)
            ]
        if any(unreachable):
            self._background.start(self._reload_later(), name="model_loading")

    async def _reload_later(self) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        await self.reload()

    async def _refresh(self, versions: ModelVersions, version: str) -> bool:
        """Whether what computes it cannot be reached, which may be otherwise in a moment."""
        name = versions.name
        self._metrics.loaded.labels(name, version)  # 0 from here on, if it never was more
        try:
            model = await self._on_thread(self._load, name, version, versions.sha256_of(version))
        except (ModelFolderError, ModelUnavailableError) as error:
            fault = error.fault if isinstance(error, ModelFolderError) else str(error)
            versions.refuse(version, fault)
            log.error("model_refused", model=name, model_version=version, fault=fault)
            return isinstance(error, ModelUnavailableError)
        if model is None:
            versions.confirm(version)
        else:
            self._change(versions, partial(versions.serve, model))
            log.info("model_loaded", model=name, model_version=version)
        return False

    def _find(self) -> Mapping[str, Sequence[str]]:
        """On the thread; of a disk that is gone, what it had."""
        try:
            return find_versions(self._folder)
        except OSError as error:
            log.error("models_not_found", reason=error.strerror)
            return {name: list(versions.versions) for name, versions in self._models.items()}

    def _load(self, name: str, version: str, known_sha256: str | None) -> LoadedModel | None:
        """On the thread; None for what is loaded already."""
        folder = read_folder(self._folder, name, version)
        if folder.sha256 == known_sha256:
            return None
        return load(folder, self._open_session, self._threads)

    async def _on_thread(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(work, *arguments, **named))

    def _change(self, versions: ModelVersions, change: Callable[[], None]) -> None:
        before = set(versions.versions)
        change()
        for version in before | set(versions.versions):
            serves = version in versions.versions
            self._metrics.loaded.labels(versions.name, version).set(serves)

    def _versions(self, name: str) -> ModelVersions:
        if name not in self._models:
            there_are = ", ".join(sorted(self._models))
            raise ModelNotFoundError(f"There is no model {name}; there are {there_are}.")
        return self._models[name]

    def _current_version(self, name: str) -> str | None:
        current = self._models[name].current
        return current.manifest.version if current else None


def _newest_first(found: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, str]]:
    """Every model's newest version, then the second ones, and so on."""
    ranked = [
        (rank, name, version)
        for name, versions in found.items()
        for rank, version in enumerate(versions)
    ]
    return [(name, version) for _, name, version in sorted(ranked)]
