"""All backends hang at once, for 100,000 requests: answers are as ever, and memory is bounded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .otlp_receiver import http_receiver
from .sentry_receiver import receiving

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).parent.parent.parent
MEGABYTES = 30

# A process of its own: its standard output is a pipe that nobody reads.
PROGRAM = """
import asyncio, json, os, sys

from middleware import Observability, Settings, Telemetry
from tests.middleware.asgi_calls import call, http_scope, running


async def app(scope, receive, send):
    if scope["path"] == "/fails":
        raise ValueError("a fault of the app")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"as ever"})


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


async def ask(observed, times):
    for number in range(times):
        if number % 100 == 0:
            try:
                await call(observed, http_scope(path="/fails"))
            except ValueError:
                continue
            raise AssertionError("the fault was swallowed")
        answer = await call(observed, http_scope())
        assert (answer.status, answer.body) == (200, b"as ever")
        if number % 50 == 0:
            await asyncio.sleep(0)


async def main():
    telemetry = Telemetry(Settings())
    observed = Observability(app, telemetry=telemetry)
    async with running(observed):
        await ask(observed, 20_000)
        before = resident()
        await ask(observed, 80_000)
        dropped = {
            signal: telemetry.registry.get_sample_value(
                "telemetry_dropped_total", {"signal": signal}
            )
            for signal in ("logs", "traces", "sentry")
        }
        counted = telemetry.registry.get_sample_value(
            "http_server_request_duration_seconds_count",
            {
                "http_request_method": "GET",
                "http_route": "unmatched",
                "http_response_status_code": "200",
            },
        )
        print(
            json.dumps({"grown": resident() - before, "dropped": dropped, "counted": counted}),
            file=sys.stderr,
            flush=True,
        )
        os._exit(0)  # nobody waits for what hangs


asyncio.run(main())
"""


def test_100_000_requests_while_every_backend_hangs() -> None:
    unread, output = os.pipe()
    with http_receiver() as collector, receiving() as sentry:
        collector.behaviour, sentry.mode = "hanging", "hang"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
            "SENTRY_DSN": sentry.dsn,
            "OPS_PORT": "0",
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=110,
            check=False,
        )
    for end in (unread, output):
        os.close(end)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["counted"] == 99_000
    assert told["grown"] < MEGABYTES
    assert all(lost > 0 for lost in told["dropped"].values()), told
