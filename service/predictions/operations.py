"""What operators see of the models and do to them, at the ops port."""

from collections.abc import Callable, Mapping

from middleware import Action, Check, NotReadyError, RefusedError
from service.predictions.domain import DeploymentError, ModelNotFoundError
from service.predictions.ports import Runtime

RELOAD = "/models/reload"


def readiness_checks(runtime: Runtime) -> Mapping[str, Check]:
    """Not ready while a model that the service needs does not serve; it says which, and why."""

    async def models() -> None:
        if faults := runtime.faults():
            raise NotReadyError("; ".join(f"{name}: {fault}" for name, fault in faults.items()))

    return {"models": models}


def model_actions(runtime: Runtime) -> Mapping[str, Action]:
    """`/models/reload`; `/models/promote` and `/models/rollback`, with `?model=NAME`."""

    async def reload(asked: Mapping[str, str]) -> object:
        await runtime.reload()
        return _roles(runtime)

    async def promote(asked: Mapping[str, str]) -> object:
        return _done(runtime, runtime.promote, asked)

    async def rollback(asked: Mapping[str, str]) -> object:
        return _done(runtime, runtime.rollback, asked)

    return {RELOAD: reload, "/models/promote": promote, "/models/rollback": rollback}


def _done(
    runtime: Runtime, change: Callable[[str], None], asked: Mapping[str, str]
) -> Mapping[str, object]:
    if "model" not in asked:
        raise RefusedError(f"Which? ?model= one of {', '.join(runtime.states())}.")
    try:
        change(asked["model"])
    except (DeploymentError, ModelNotFoundError) as error:
        raise RefusedError(str(error)) from error
    return _roles(runtime)


def _roles(runtime: Runtime) -> Mapping[str, object]:
    return {
        name: [{"version": each.version, "role": each.role, "fault": each.fault} for each in states]
        for name, states in runtime.states().items()
    }
