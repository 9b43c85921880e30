"""Models that do sums, and a server of the protocol over them."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fastapi import FastAPI

from service.errors import install_problem_handlers
from service.inference_protocol.router import inference_protocol_router
from service.predictions.domain import (
    DATATYPES,
    Array,
    Inference,
    Lane,
    Manifest,
    ModelNotFoundError,
    ModelNotLoadedError,
    Row,
    Tensor,
)
from service.predictions.ports import VersionState
from tests.fake_models import a_manifest

TIMEOUT_SECONDS = 60.0

Compute = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass
class EchoModel:
    """Computes whole batches at once, and remembers how long it was given."""

    manifest: Manifest
    compute: Compute
    error: Exception | None = None
    hangs: bool = False
    seconds_given: list[float] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def asset(self, name: str) -> bytes:
        """Nothing."""
        return b""

    async def infer(
        self,
        rows: Sequence[Row],
        *,
        deadline: float,
        lane: Lane = Lane.REQUEST,
        most_in_chunk: int | None = None,
    ) -> Inference:
        """As a runtime does: rows in, batches out."""
        self.seconds_given.append(deadline - time.monotonic())
        self.started.set()
        if self.hangs:
            await self._hang()
        if self.error is not None:
            raise self.error
        batch = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return Inference(self.compute(batch), queue_seconds=0.001, model_seconds=0.002)

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


class EchoRuntime:
    """`sums` in two versions, a model for each datatype, and `absent`, which is being loaded."""

    def __init__(self) -> None:
        self.sums = sums("v1.0", factor=2)
        self.next_sums = sums("v1.1", factor=3)
        self.not_serving: dict[str, str] = {}
        echoes = [echo(datatype) for datatype in DATATYPES]
        self._models = {
            "sums": [self.next_sums, self.sums],
            **{model.manifest.name: [model] for model in echoes},
        }

    def choose(self, name: str, version: str | None = None) -> EchoModel:
        """The one asked for; of `sums` the older one, if none is."""
        if name == "absent":
            raise ModelNotLoadedError("absent is being loaded.")
        for model in reversed(self._models.get(name, [])):
            if version in (None, model.manifest.version):
                return model
        raise ModelNotFoundError(f"There is no {name}, or not in that version.")

    def states(self) -> Mapping[str, Sequence[VersionState]]:
        """Those that serve, and a third version of `sums`, which was refused."""
        states = {
            name: [VersionState(each.manifest, each.manifest.version, "current") for each in models]
            for name, models in self._models.items()
        }
        states["sums"].insert(0, VersionState(None, "v1.2", "refused", "a flipped byte"))
        return states

    def faults(self) -> Mapping[str, str]:
        """What a test has set."""
        return self.not_serving


def sums(version: str, factor: int) -> EchoModel:
    """`scaled` is `numbers` times `factor`; `totals` is each row's sum of `counts`."""
    manifest = a_manifest(
        "sums",
        version=version,
        inputs=(Tensor("numbers", "FP32", (-1, 3)), Tensor("counts", "INT64", (-1, -1))),
        outputs=(Tensor("scaled", "FP32", (-1, 3)), Tensor("totals", "INT64", (-1,))),
    )

    def compute(batch: Mapping[str, Array]) -> Mapping[str, Array]:
        scaled = np.float32(factor) * batch["numbers"]
        return {"scaled": scaled, "totals": batch["counts"].sum(axis=1)}

    return EchoModel(manifest, compute)


def echo(datatype: str) -> EchoModel:
    """`echo_fp32` gives back what it gets, and so on."""
    tensor = Tensor("value", datatype, (-1, -1))
    manifest = a_manifest(f"echo_{datatype.lower()}", inputs=(tensor,), outputs=(tensor,))
    return EchoModel(manifest, lambda batch: batch)


def app_of(runtime: EchoRuntime, timeout_seconds: float = TIMEOUT_SECONDS) -> FastAPI:
    """The protocol's paths over the models, with the service's own error handlers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {"runtime": runtime, "request_id": "the-request"}

    app = FastAPI(lifespan=lifespan)
    app.routes.extend(inference_protocol_router([], timeout_seconds).routes)
    install_problem_handlers(app)
    return app
