"""Models that run on another server, which speaks the Open Inference Protocol."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPException
from urllib.parse import urlsplit

from opentelemetry import propagate, trace

from service.adapters.http_connections import Answer, AnswerTooLargeError, HttpConnections, Limits
from service.adapters.model_folders import ModelFolder
from service.adapters.model_sessions import OpenSession
from service.inference_protocol.codec import (
    JSON_LENGTH_HEADER,
    Message,
    ProtocolError,
    read_message,
    read_tensors,
    write_message,
)
from service.inference_protocol.wire import InferResponse
from service.predictions.domain import Array, Manifest, ModelUnavailableError

MAX_ANSWER_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_SECONDS = 0.5

_MICROSECONDS = 1_000_000


def remote_sessions(url: str, timeout_seconds: float) -> OpenSession:
    """Sessions on the server at `url`, which has the same models in the same versions.

    Their manifests and what else their folders have stay here. A call ends after `timeout_seconds`,
    and so does the server's work for it.
    """
    limits = Limits(CONNECT_TIMEOUT_SECONDS, timeout_seconds, MAX_ANSWER_BYTES)
    connections = HttpConnections(urlsplit(url), limits)
    root = url.rstrip("/")

    def open_session(folder: ModelFolder) -> RemoteSession:
        return RemoteSession(connections, root, folder.manifest, timeout_seconds)

    return open_session


class RemoteSession:
    """One version of a model, on the other server."""

    def __init__(
        self, connections: HttpConnections, root: str, manifest: Manifest, timeout_seconds: float
    ) -> None:
        self._connections = connections
        self._url = f"{root}/v2/models/{manifest.name}/versions/{manifest.version}/infer"
        self._path = urlsplit(self._url).path
        self._outputs = manifest.outputs
        self._question = {
            "parameters": {"timeout": int(timeout_seconds * _MICROSECONDS)},
            "outputs": [
                {"name": output.name, "parameters": {"binary_data": True}}
                for output in manifest.outputs
            ],
        }

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Have one batch computed. Raises ModelUnavailableError, whatever the reason."""
        rows = len(next(iter(inputs.values())))
        answer = self._ask(write_message(self._question, "inputs", inputs, inputs.keys()))
        expected = [replace(each, shape=(rows, *each.shape[1:])) for each in self._outputs]
        try:
            length = answer.headers.get(JSON_LENGTH_HEADER)
            received = read_message(InferResponse, answer.body, length)
            return read_tensors(received.document.outputs, expected, received.binary)
        except ProtocolError as error:
            raise _unavailable(f"gave an unusable answer: {error}") from error

    def _ask(self, question: Message) -> Answer:
        with self._span() as span:
            headers = question.headers
            propagate.inject(headers)
            answer = self._post(question.body, headers)
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status != HTTPStatus.OK:
                raise _unavailable(f"answered {answer.status}")
            return answer

    def _span(self) -> AbstractContextManager[trace.Span]:
        current = trace.get_current_span()
        if not current.is_recording():  # a span of ours would be a trace of its own
            return nullcontext(current)
        attributes = {"http.request.method": "POST", "url.full": self._url}
        tracer = trace.get_tracer(__name__)
        return tracer.start_as_current_span(
            f"POST {self._path}", kind=trace.SpanKind.CLIENT, attributes=attributes
        )

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            return self._connections.post(self._path, body, headers)
        except TimeoutError as error:
            raise _unavailable("did not answer in time") from error
        except OSError as error:
            raise _unavailable("is not reachable") from error
        except HTTPException as error:
            raise _unavailable("gave an unreadable answer") from error
        except AnswerTooLargeError as error:
            raise _unavailable("answered more than is read") from error


def _unavailable(what: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"The model's server {what}.")
