"""Real OTLP receivers, over HTTP and gRPC: they decode what they are sent, or misbehave."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Behaviour = Literal["well", "hanging", "failing", "garbage"]

TIMEOUT_SECONDS = 20


class OtlpReceiver:
    """What has arrived, and how the next request is answered."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.behaviour: Behaviour = "well"
        self.requests: list[ExportTraceServiceRequest] = []
        self.released = threading.Event()  # lets go of those that hang
        self._arrived = threading.Condition()
        self.asked = 0

    def take(self, request: ExportTraceServiceRequest) -> None:
        """A request has arrived; one that is not answered well counts as asked only."""
        with self._arrived:
            self.asked += 1
            if self.behaviour == "well":
                self.requests.append(request)
            self._arrived.notify_all()
        if self.behaviour == "hanging":
            self.released.wait(TIMEOUT_SECONDS)

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order of their arrival."""
        return [
            span
            for request in tuple(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, Any]:
        """Attributes of the resource that sent the last spans."""
        return attributes_of(self.requests[-1].resource_spans[0].resource.attributes)

    def await_asked(self, times: int = 1) -> None:
        """Wait until so many requests have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.asked >= times, TIMEOUT_SECONDS)


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    kind = AnyValue.WhichOneof(pair.value, "value")
    return getattr(pair.value, kind) if kind else None


@contextmanager
def http_receiver() -> Iterator[OtlpReceiver]:
    """OTLP over HTTP, protobuf decoded."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            receiver.take(ExportTraceServiceRequest.FromString(body))
            if receiver.behaviour == "garbage":
                self.wfile.write(b"\x00\xff nonsense\r\n\r\n")
                self.close_connection = True
                return
            self.send_response(500 if receiver.behaviour == "failing" else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="otlp_receiver")
    thread.start()
    receiver.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_receiver() -> Iterator[OtlpReceiver]:
    """OTLP over gRPC."""
    receiver = OtlpReceiver()

    class Service(TraceServiceServicer):
        def Export(  # noqa: N802 - as the protocol has it
            self, request: Any, context: Any
        ) -> ExportTraceServiceResponse:
            receiver.take(request)
            if receiver.behaviour in ("failing", "garbage"):
                context.abort(grpc.StatusCode.INTERNAL, "out of order")
            return ExportTraceServiceResponse()

    with ThreadPoolExecutor(4, thread_name_prefix="otlp_grpc_receiver") as pool:
        server = grpc.server(pool)
        add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        receiver.endpoint = f"http://127.0.0.1:{port}"
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.stop(None).wait(TIMEOUT_SECONDS)
