"""The protocol's paths, over the models that serve."""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.requests import ClientDisconnect

from service.edge.disconnects import ClientDisconnectedError, cancelled_on_disconnect
from service.inference_protocol.codec import (
    JSON_LENGTH_HEADER,
    ProtocolError,
    read_message,
    read_tensors,
    write_message,
)
from service.inference_protocol.wire import (
    BINARY_TENSORS,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from service.predictions.domain import (
    Inference,
    Manifest,
    ModelInputError,
    ModelNotLoadedError,
    Row,
    Tensor,
)
from service.predictions.ports import Model, Runtime
from service.version import __version__

MAX_ROWS = 1024  # cutting a batch into rows holds the event loop up: so many for some 2 ms

_MICROSECONDS = 1_000_000
_NOT_SERVED = ("loading", "refused")
_PROBLEMS: dict[int | str, Any] = {
    "default": {
        "description": "A problem; its `error`, which the protocol has, says the same as `detail`.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
}
_REQUEST = {
    "description": "JSON, or JSON followed by the tensors' binary data, whose place the header "
    f"{JSON_LENGTH_HEADER} says.",
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {
                "id": "42",
                "inputs": [
                    {
                        "name": "features",
                        "shape": [1, 10],
                        "datatype": "FP32",
                        "data": [14.2, 19.1, 92.3, 640.1, 0.097, 0.106, 0.091, 0.05, 0.181, 0.063],
                    }
                ],
            },
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


def inference_protocol_router(guards: list[Any], timeout_seconds: float) -> APIRouter:
    """The routes under `/v2`; no request waits longer than `timeout_seconds`.

    The guards stand before the models, not before the questions that probes ask.
    """
    router = APIRouter(prefix="/v2", tags=["inference protocol"], responses=_PROBLEMS)
    _add_server(router)
    _add_models(router, guards)
    _add_inference(router, guards, timeout_seconds)
    return router


def _add_server(router: APIRouter) -> None:
    @router.get("/health/live", summary="Does the server answer?")
    async def server_live() -> ServerLive:
        return ServerLive(live=True)

    @router.get("/health/ready", summary="Does every model serve?")
    async def server_ready(request: Request) -> ServerReady:
        faults = _runtime(request).faults()
        if faults:
            # Not why: reasons may name files.
            raise ModelNotLoadedError(f"Not every model serves; missing: {', '.join(faults)}.")
        return ServerReady(ready=True)

    @router.get("", summary="Who serves?")
    async def server_metadata() -> ServerMetadata:
        return ServerMetadata(name="stallscope", version=__version__, extensions=[BINARY_TENSORS])


def _add_models(router: APIRouter, guards: list[Any]) -> None:
    @router.get("/models/{name}", dependencies=guards, summary="What does the model take and give?")
    async def model_metadata(name: str, request: Request) -> ModelMetadata:
        return _metadata(_runtime(request), name)

    @router.get(
        "/models/{name}/versions/{version}",
        dependencies=guards,
        summary="What does this version of the model take and give?",
    )
    async def version_metadata(name: str, version: str, request: Request) -> ModelMetadata:
        return _metadata(_runtime(request), name, version)

    @router.get("/models/{name}/ready", dependencies=guards, summary="Does the model serve?")
    async def model_ready(name: str, request: Request) -> ModelReady:
        return _readiness(_runtime(request), name)

    @router.get(
        "/models/{name}/versions/{version}/ready",
        dependencies=guards,
        summary="Does this version of the model serve?",
    )
    async def version_ready(name: str, version: str, request: Request) -> ModelReady:
        return _readiness(_runtime(request), name, version)


def _add_inference(router: APIRouter, guards: list[Any], timeout_seconds: float) -> None:
    documented: dict[str, Any] = {
        "dependencies": guards,
        "response_model": InferResponse,
        "openapi_extra": {"requestBody": _REQUEST},
    }

    @router.post("/models/{name}/infer", summary="Ask the model", **documented)
    async def infer(name: str, request: Request) -> Response:
        return await _infer(request, timeout_seconds, name)

    @router.post(
        "/models/{name}/versions/{version}/infer", summary="Ask this version", **documented
    )
    async def infer_version(name: str, version: str, request: Request) -> Response:
        return await _infer(request, timeout_seconds, name, version)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.state.runtime
    return runtime


def _metadata(runtime: Runtime, name: str, version: str | None = None) -> ModelMetadata:
    manifest = runtime.choose(name, version).manifest
    states = runtime.states()[name]
    return ModelMetadata(
        name=name,
        versions=[each.version for each in states if each.role not in _NOT_SERVED],
        platform="onnxruntime_onnx",
        inputs=_tensors(manifest.inputs),
        outputs=_tensors(manifest.outputs),
    )


def _tensors(tensors: Sequence[Tensor]) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=each.name, datatype=each.datatype, shape=list(each.shape))
        for each in tensors
    ]


def _readiness(runtime: Runtime, name: str, version: str | None = None) -> ModelReady:
    runtime.choose(name, version)
    return ModelReady(name=name, ready=True)


async def _infer(
    request: Request, timeout_seconds: float, name: str, version: str | None = None
) -> Response:
    body = await _body(request)
    model = _runtime(request).choose(name, version)
    try:
        asked, rows = _question(request, body, model.manifest)
        deadline = time.monotonic() + _timeout_seconds(asked, timeout_seconds)
        async with cancelled_on_disconnect(request):
            inference = await model.infer(rows, deadline=deadline)
    except (ProtocolError, ModelInputError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from None
    return _answer(asked, model, inference)


async def _body(request: Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        detail = "A body may not be compressed."
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    try:
        return await request.body()
    except ClientDisconnect:
        raise ClientDisconnectedError from None


def _question(
    request: Request, body: bytes, manifest: Manifest
) -> tuple[InferRequest, Sequence[Row]]:
    received = read_message(InferRequest, body, request.headers.get(JSON_LENGTH_HEADER))
    asked = received.document
    _check_outputs(asked, manifest)
    size = asked.inputs[0].shape[0]
    if size > MAX_ROWS:
        raise ProtocolError(f"A batch may have {MAX_ROWS} rows.")
    arrays = read_tensors(asked.inputs, manifest.inputs, received.binary)
    return asked, [{name: array[row] for name, array in arrays.items()} for row in range(size)]


def _check_outputs(asked: InferRequest, manifest: Manifest) -> None:
    there_are = [tensor.name for tensor in manifest.outputs]
    for output in asked.outputs or ():
        if output.name not in there_are:
            raise ProtocolError(f"There are the outputs {', '.join(there_are)}, and no other.")
        parameters = output.parameters
        if parameters and (parameters.classification or parameters.shared_memory_region):
            raise ProtocolError("There is no classification and no shared memory here.")


def _timeout_seconds(asked: InferRequest, most: float) -> float:
    microseconds = asked.parameters.timeout if asked.parameters else None
    return min(microseconds / _MICROSECONDS, most) if microseconds else most


def _answer(asked: InferRequest, model: Model, inference: Inference) -> Response:
    everything_binary = bool(asked.parameters and asked.parameters.binary_data_output)
    binary = dict.fromkeys(inference.outputs, everything_binary)
    names = [output.name for output in asked.outputs or ()] or list(inference.outputs)
    for output in asked.outputs or ():
        if output.parameters and output.parameters.binary_data is not None:
            binary[output.name] = output.parameters.binary_data
    message = write_message(
        {
            "model_name": model.manifest.name,
            "model_version": model.manifest.version,
            **({} if asked.id is None else {"id": asked.id}),
        },
        "outputs",
        {name: inference.outputs[name] for name in names},
        {name for name, wanted in binary.items() if wanted},
    )
    spent = f"queue;dur={1e3 * inference.queue_seconds:.3f}, "
    spent += f"model;dur={1e3 * inference.model_seconds:.3f}"
    return Response(message.body, headers={**message.headers, "Server-Timing": spent})
