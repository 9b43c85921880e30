"""How long does the event loop stand still while 20,000 series are scraped?"""

import gzip
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.overhead.outcome import verdict
from benchmarks.overhead.programs import Server, environment, load_averages, served
from benchmarks.overhead.scrape_app import SERIES
from benchmarks.overhead.variants import BARE
from benchmarks.report import table
from service.demo.ports import free_port

GAP_LIMIT_MS = 10.0
SCRAPES = 9  # a round
_FACTORY = "benchmarks.overhead.scrape_app:create"
_OPS = "Stallscope's ops port"
# What Prometheus sends.
_OPENMETRICS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}


@dataclass(frozen=True)
class Way:
    """How one scrapes; without an address: not at all, for as long as a scrape may take."""

    name: str
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def scrape(rounds: int) -> str:
    """The ways take turns on one process; the outcome as Markdown."""
    gaps: dict[str, list[float]] = {}
    took: dict[str, list[float]] = {}
    ops_port = free_port()
    told = {**environment(BARE, {}), **_quiet(), "OPS_PORT": str(ops_port)}
    with served(_FACTORY, told) as server:
        for number in range(rounds * SCRAPES + 1):
            for way in _ways(server, ops_port):
                measured = _measure(server, way)
                if number and measured:  # the first time everything is new
                    gaps.setdefault(way.name, []).append(measured[0])
                    took.setdefault(way.name, []).append(measured[1])
    rows = [_row(name, gaps[name], took[name]) for name in gaps]
    ours = median(gaps[_OPS]) if _OPS in gaps else float("nan")
    judged = verdict(
        f"scrape of {SERIES:,} series: longest gap, ms",
        ours,
        f"≤ {GAP_LIMIT_MS:.0f} ms",
        ours <= GAP_LIMIT_MS,
    )
    head = ["", "longest gap in the event loop, ms", "min … max", "the scrape took, ms"]
    return f"{table(head, rows)}\n\n{table(['', 'ours', 'criterion', 'holds'], [judged])}"


def _quiet() -> dict[str, str]:
    return {f"OBSERVABILITY__{name}": "false" for name in ("TRACES", "LOGS", "SENTRY")}


def _ways(server: Server, ops_port: int) -> list[Way]:
    app, ops = f"http://127.0.0.1:{server.port}", f"http://127.0.0.1:{ops_port}/metrics"
    return [
        Way("no scrape"),
        Way(_OPS, ops),
        Way(f"{_OPS}, as Prometheus asks (OpenMetrics, gzip)", ops, _OPENMETRICS),
        Way("generate_latest() in an `async def` endpoint", f"{app}/on-the-loop"),
        Way("generate_latest() in a `def` endpoint, so in a thread", f"{app}/in-a-thread"),
    ]


def _measure(server: Server, way: Way) -> tuple[float, float] | None:
    """The longest gap and how long the scrape took, both in ms; None where nobody answers."""
    load_averages.append(os.getloadavg()[0])
    _longest_gap_ms(server)
    started = time.perf_counter()
    try:
        _scrape(way)
    except urllib.error.URLError as error:
        print(f"FAILED: {way.name}: {error}", flush=True)
        return None
    took_ms = (time.perf_counter() - started) * 1e3
    return _longest_gap_ms(server), took_ms


def _scrape(way: Way) -> None:
    if not way.url:
        time.sleep(0.2)
        return
    said = _get(way.url, way.headers)
    lines = (gzip.decompress(said) if said.startswith(b"\x1f\x8b") else said).splitlines()
    series = sum(not line.startswith(b"#") for line in lines)
    if series < SERIES:
        raise urllib.error.URLError(f"{series} series instead of {SERIES}")


def _longest_gap_ms(server: Server) -> float:
    return float(_get(f"http://127.0.0.1:{server.port}/longest-gap"))


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body


def _row(name: str, gaps: list[float], took: list[float]) -> list[str]:
    spread = f"{min(gaps):.1f} … {max(gaps):.1f}"
    return [name, f"{median(gaps):.1f}", spread, f"{median(took):.0f}"]
