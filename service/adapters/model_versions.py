"""The versions of one model: which are loaded, which one answers, and what it may go back to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from service.adapters.model_folders import natural_order
from service.adapters.model_loading import LoadedModel
from service.predictions.domain import DeploymentError, ModelNotFoundError, ModelNotLoadedError
from service.predictions.ports import VersionState


@dataclass(frozen=True, slots=True)
class Rollout:
    """What becomes of a version that is newer than the current one.

    It answers `canary_share` of the requests that name no version; 1.0 makes it current at once.
    With `shadow` it is asked what the current one is asked, and their answers are compared; then
    it answers none, unless `canary_share` is below 1.0.
    """

    canary_share: float = 1.0
    shadow: bool = False

    @property
    def is_gradual(self) -> bool:
        """A newer version is a candidate first."""
        return self.shadow or self.canary_share < 1.0

    @property
    def candidate_share(self) -> float:
        """Of the requests that name no version."""
        return self.canary_share if self.canary_share < 1.0 else 0.0


class ModelVersions:
    """Each change is one assignment on the event loop: a request sees it whole or not at all."""

    def __init__(self, name: str, rollout: Rollout) -> None:
        self.name = name
        self.current: LoadedModel | None = None
        self.candidate: LoadedModel | None = None
        self.previous: LoadedModel | None = None
        self._rollout = rollout
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: set[str] = set()
        self._refused: dict[str, str] = {}
        self._has_looked = False
        self._has_settled = False  # what was there at first is loaded, or refused
        self._candidate_is_owed = 0.0

    @property
    def versions(self) -> Collection[str]:
        """Those that can be chosen."""
        return self._loaded.keys()

    def choose(self, version: str | None) -> LoadedModel:
        """As `ports.Runtime` says."""
        if version is None:
            if self.current is None:
                raise ModelNotLoadedError(f"{self.name} is not loaded.")
            return self._next_of_both(self.current)
        if model := self._loaded.get(version):
            return model
        if not self._loaded or version in self._loading or version in self._refused:
            raise ModelNotLoadedError(f"{self.name} {version} is not loaded.")
        there_are = ", ".join(self._newest_first(self._loaded)) or "none"
        raise ModelNotFoundError(f"{self.name} has no version {version}; it has {there_are}.")

    def sha256_of(self, version: str) -> str | None:
        """Of what is loaded."""
        model = self._loaded.get(version)
        return model.sha256 if model else None

    def look_for(self, found: Collection[str]) -> None:
        """Expect what is new, and drop what is gone, except for the version that answers."""
        self._has_looked = True
        kept = [each for each in self._loaded if each in found or self._answers(each)]
        self._loaded = {each: self._loaded[each] for each in kept}
        self._refused = {each: self._refused[each] for each in self._refused if each in found}
        self._loading = set(found) - self._loaded.keys() - self._refused.keys()
        self.previous = self._unless_gone(self.previous)
        self.candidate = self._unless_gone(self.candidate)

    def refuse(self, version: str, fault: str) -> None:
        """It could not be loaded; what was loaded of this version before serves on."""
        self._refused[version] = fault
        self._settle(version)

    def confirm(self, version: str) -> None:
        """What is loaded is what there is."""
        self._refused.pop(version, None)
        self._settle(version)

    def serve(self, model: LoadedModel) -> None:
        """It has been loaded, for the first time or instead of what was loaded before."""
        version = model.manifest.version
        replaced = self._loaded.get(version)
        self._loaded[version] = model
        self.confirm(version)
        if self.current is None or self.current is replaced:
            self._make_current(model)
        elif self.candidate is not None and self.candidate is replaced:
            self.candidate = model
        elif natural_order(version) > natural_order(self.current.manifest.version):
            if self._rollout.is_gradual:
                self.candidate = model
            else:
                self._make_current(model)

    def promote(self) -> None:
        """Make the candidate current. Raises DeploymentError when there is none."""
        if self.candidate is None:
            raise DeploymentError(f"{self.name} has no candidate.")
        self._make_current(self.candidate)

    def rollback(self) -> None:
        """Drop the candidate or, if there is none, make the previous version current.

        Raises DeploymentError when there is neither.
        """
        if self.candidate is not None:
            self.candidate = None
        elif self.previous is not None:
            self.current, self.previous = self.previous, None
            self._loaded[self.current.manifest.version] = self.current
        else:
            raise DeploymentError(f"{self.name} has no version to return to.")

    def fault(self) -> str | None:
        """Why it does not serve, or not yet all that was there at first: any may be asked for."""
        if self.current is not None and self._has_settled:
            return None
        if self._loading or not self._has_looked:
            return "loading"
        if self._refused:
            newest = self._newest_first(self._refused)[0]
            return f"refused: {newest}: {self._refused[newest]}"
        return "missing"

    def states(self) -> Sequence[VersionState]:
        """Every version, the newest first; twice where something else of its number serves on."""
        models = dict.fromkeys([*self._loaded.values(), self.previous])
        states = [
            VersionState(model.manifest, model.manifest.version, self._role_of(model))
            for model in models
            if model is not None
        ]
        states += [VersionState(None, version, "loading") for version in self._loading]
        states += [
            VersionState(None, version, "refused", fault)
            for version, fault in self._refused.items()
        ]
        return sorted(states, key=lambda state: natural_order(state.version), reverse=True)

    def _next_of_both(self, current: LoadedModel) -> LoadedModel:
        """Evenly mixed, without chance: of any ten requests a tenth is within one request."""
        if self.candidate is None:
            return current
        self._candidate_is_owed += self._rollout.candidate_share
        if self._candidate_is_owed < 1:
            return current
        self._candidate_is_owed -= 1
        return self.candidate

    def _settle(self, version: str) -> None:
        self._loading.discard(version)
        self._has_settled = self._has_settled or not self._loading

    def _make_current(self, model: LoadedModel) -> None:
        self.current, self.previous = model, self.current
        if self.candidate is model:
            self.candidate = None

    def _answers(self, version: str) -> bool:
        return self.current is not None and self.current.manifest.version == version

    def _unless_gone(self, model: LoadedModel | None) -> LoadedModel | None:
        return model if model and model.manifest.version in self._loaded else None

    def _role_of(self, model: LoadedModel) -> str:
        roles = {"current": self.current, "candidate": self.candidate, "previous": self.previous}
        return next((role for role, each in roles.items() if each is model), "available")

    @staticmethod
    def _newest_first(versions: Collection[str]) -> list[str]:
        return sorted(versions, key=natural_order, reverse=True)
