"""Takes whatever is exported and says thanks: `python -m benchmarks.overhead.sink PORT`.

`GET /spans` answers how many spans came since that was last asked: who drops spans looks cheap.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Sink(BaseHTTPRequestHandler):
    """OTLP over HTTP and Sentry's envelopes; both take an empty answer for a yes."""

    protocol_version = "HTTP/1.1"
    batches: ClassVar[list[bytes]] = []  # decoded when asked for, not while others are measured

    def do_POST(self) -> None:
        body = self._read_body()
        if self.path == "/v1/traces":
            self.batches.append(body)
        self._answer(b"")

    def do_GET(self) -> None:
        taken, self.batches[:] = self.batches[:], []
        self._answer(str(sum(map(spans_in, taken))).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_given: object) -> None:
        """Not a word."""


def spans_in(batch: bytes) -> int:
    """How many spans an export carries."""
    exported = ExportTraceServiceRequest.FromString(batch)
    return sum(len(scope.spans) for each in exported.resource_spans for scope in each.scope_spans)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
