"""`python -m benchmarks.cluster.scaling` writes tables and plots of docs/scaling.md anew."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.arena import PRODUCTS
from benchmarks.cluster.asking import Questions
from benchmarks.cluster.measured import CACHED, SENTIMENT, SHARED, TABULAR, UNCACHED, Measured
from benchmarks.cluster.model import RATES, Scale, scale
from benchmarks.cluster.plot import Axis, draw, short
from benchmarks.cluster.trial import WARMUP_SECONDS, foretold_again, simulated
from benchmarks.load.tally import percentile
from benchmarks.report import table
from tests.cluster.balancer import Place, configuration

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "scaling.md"

# The plot of the tail: so many replicas, ever more requests, until they are nearly full.
_REPLICAS = 4
_SECONDS = 10.0
_FIRST_RATE, _FASTER, _BUSIEST = 100.0, 1.15, 0.99

Row = tuple[str, Callable[[Scale], str]]


def _per_second(value: float) -> str:
    return f"{short(value)}/s"


def _bytes(value: float) -> str:
    return f"{short(value)}B/s"


ROWS: Sequence[Row] = (
    ("answered from a cache, % of products", lambda s: f"{s.hit_ratio:.0%}"),
    ("… from Valkey, not from own memory", lambda s: _per_second(s.shared_hits)),
    ("asked of PostgreSQL, and of each upstream", lambda s: _per_second(s.fetches)),
    ("shards by product", lambda s: short(s.shards)),
    ("**replicas**, one core each", lambda s: f"**{short(s.replicas)}**"),
    ("cores for texts, elsewhere", lambda s: short(s.model_cores)),
    ("memory of the replicas", lambda s: f"{short(s.memory_gb * 1e9)}B"),
    ("sessions of PostgreSQL, without a pooler", lambda s: short(s.database_sessions)),
    ("… of them at work at any time", lambda s: short(s.database_sessions_busy)),
    ("connections to Valkey, all shards", lambda s: short(s.valkey_connections)),
    ("commands to Valkey, all shards", lambda s: _per_second(s.valkey_commands)),
    ("bytes to and from Valkey, all shards", lambda s: _bytes(s.valkey_bytes)),
    ("invalidation messages, all shards", lambda s: _per_second(s.invalidations)),
    ("… % of each replica's core", lambda s: f"{s.invalidations_busy:.1%}"),
    ("sent to clients", lambda s: _bytes(s.answer_bytes)),
    ("series in Prometheus", lambda s: short(s.series)),
    ("scraped, gzip, every 15 s", lambda s: _bytes(s.scrape_bytes)),
    ("log, uncompressed", lambda s: _bytes(s.log_bytes)),
    ("… a day", lambda s: f"{short(s.log_bytes * 86_400)}B"),
    ("spans at 1 %", lambda s: _per_second(s.spans)),
    ("… uncompressed", lambda s: _bytes(s.span_bytes)),
)


def main() -> None:
    """Write all of it; the simulation may have learnt something since it was measured."""
    measured = foretold_again(Measured.load())
    measured.save()
    PAGE.write_text(filled(PAGE.read_text()))
    (DOCS / "scaling-growth.svg").write_text(_growth_plot(measured))
    (DOCS / "scaling-tail.svg").write_text(_tail_plot(measured))
    (DOCS / "scaling-check.svg").write_text(_check_plot(measured))


def filled(page: str) -> str:
    """The page with its tables made anew."""
    measured = Measured.load()
    blocks = {
        "measured": _measured_table(measured),
        "scale": _scale_table(measured),
        "check": check_table(measured),
        "haproxy": _haproxy(),
    }
    for name, block in blocks.items():
        before, begin, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        page = f"{before}{begin}{block}\n{end}{after}"
    return page


def _measured_table(measured: Measured) -> str:
    us, size = measured.cpu_us, measured.answer_bytes
    cached, uncached = us[CACHED], us[UNCACHED]
    easy = {kind: each.cpu_ms * 1000 for kind, each in measured.work.items()}
    rows = [
        ["CPU, cached product", f"{cached['1']:.0f} µs; at 3 replicas {cached['3']:.0f}"],
        ["… from Valkey", f"{us[SHARED]['1']:.0f} µs"],
        ["… uncached", f"{uncached['1']:.0f} µs; at 3 replicas {uncached['3']:.0f}"],
        [
            "CPU when there is little to do: cached, from Valkey, uncached",
            f"{easy[CACHED]:.0f}, {easy[SHARED]:.0f}, {easy[UNCACHED]:.0f} µs",
        ],
        ["CPU, prediction from ten features", f"{us[TABULAR]['1']:.0f} µs"],
        ["… from a text of 12 words", f"{us[SENTIMENT]['1']:.0f} µs"],
        ["CPU, a replica that nobody asks", f"{measured.idle_cpu_ratio:.1%} of a core"],
        ["CPU, each fetch of another replica", f"{measured.invalidation_us:.0f} µs"],
        ["memory of a replica, models included", f"{measured.memory_mb['rss']:.0f} MB"],
        ["bytes of an answer: cached, uncached", f"{size[CACHED]:,.0f}, {size[UNCACHED]:,.0f}"],
        ["… prediction: features, text", f"{size[TABULAR]:,.0f}, {size[SENTIMENT]:,.0f}"],
        ["sessions of PostgreSQL, per replica", f"{measured.connections['postgresql']:.0f}"],
        ["connections to Valkey, per replica", f"{measured.connections['valkey']:.0f}"],
        ["a query, as the replica sees it", f"{measured.query_ms:.2f} ms"],
        ["commands to Valkey, uncached product", f"{measured.valkey_commands[UNCACHED]:.1f}"],
        ["series of a replica", f"{measured.scrape['series']:,.0f}"],
        ["a scrape, gzip", f"{measured.scrape['gzip_bytes']:,.0f} bytes"],
        ["a line of log", f"{measured.log_bytes[CACHED]:.0f} bytes"],
        [
            "spans of a request: cached, uncached",
            f"{measured.spans[CACHED]:.1f}, {measured.spans[UNCACHED]:.1f}"
            f" ({measured.span_bytes[CACHED]:,.0f}, {measured.span_bytes[UNCACHED]:,.0f} bytes)",
        ],
    ]
    return f"Measured: {measured.where}.\n\n{table(['quantity', 'measured'], rows)}"


def _scale_table(measured: Measured) -> str:
    scales = [scale(measured, rate) for rate in RATES]
    head = ["requests/s", *(short(each.rate) for each in scales)]
    return table(head, [[name, *(show(each) for each in scales)] for name, show in ROWS])


def check_table(measured: Measured) -> str:
    """How late answers were, and how late the simulation says."""
    if measured.trial is None:
        return "Not measured yet."
    trial = measured.trial
    said = (
        f"{trial.rate:g} requests/s for {trial.seconds:g} s, medians of the rounds; "
        f"the replicas' one core was {trial.core_busy_ratio:.0%} busy."
    )
    head = ["replicas", "p50, ms", "simulated", "p99, ms", "min … max", "simulated", "off by"]
    rows = [
        [
            str(each.replicas),
            f"{each.measured_p50_ms:.2f}",
            f"{each.simulated_p50_ms:.2f}",
            f"{each.measured_p99_ms:.1f}",
            f"{each.p99_least_ms:.1f} … {each.p99_most_ms:.1f}",
            f"{each.simulated_p99_ms:.1f}",
            f"{each.simulated_p99_ms / each.measured_p99_ms - 1:+.0%}",
        ]
        for each in trial.checks
    ]
    return f"{said}\n\n{table(head, rows)}"


def _haproxy() -> str:
    places = [Place(8000 + number, 9470 + number) for number in (1, 2, 3)]
    return f"```haproxy\n{configuration(places, '*:8000', '127.0.0.1:8405')}```"


def _growth_plot(measured: Measured) -> str:
    rates = [10 ** (3 + step / 8) for step in range(25)]
    scales = [(rate, scale(measured, rate)) for rate in rates]
    shown: dict[str, Callable[[Scale], float]] = {
        "replicas": lambda s: s.replicas,
        "fetches/s, each source": lambda s: s.fetches,
        "Valkey commands/s": lambda s: s.valkey_commands,
        "invalidations/s": lambda s: s.invalidations,
        "PostgreSQL sessions": lambda s: s.database_sessions,
        "series": lambda s: s.series,
    }
    lines = {name: [(rate, of(each)) for rate, each in scales] for name, of in shown.items()}
    most = max(value for points in lines.values() for _, value in points)
    powers = [10**power for power in range(len(str(int(most))) + 1)]
    across = Axis("requests per second", [float(rate) for rate in RATES], logarithmic=True)
    return draw(
        "What grows, and how fast", across, Axis("", powers, logarithmic=True), lines, frozenset()
    )


def _tail_plot(measured: Measured) -> str:
    lines: dict[str, list[tuple[float, float]]] = {"p50": [], "p99": []}
    seconds, rate = WARMUP_SECONDS + _SECONDS, _FIRST_RATE
    questions = Questions(0, seconds, 0, "zipf", PRODUCTS, warmup_seconds=WARMUP_SECONDS)
    while True:
        asked = replace(questions, rate=rate)
        outcome, late = simulated(measured.work, _REPLICAS, asked, 1, cores=_REPLICAS)
        busy = outcome.busy_ms / (seconds * 1000 * _REPLICAS)
        if busy > _BUSIEST:
            break
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            lines[name].append((busy, percentile(late, share)))
        rate *= _FASTER
    highest = max(value for points in lines.values() for _, value in points)
    up = Axis("ms", [round(highest * part / 5, 1) for part in range(6)])
    across = Axis("share of its core that each replica is busy", [part / 5 for part in range(6)])
    title = f"Latency of {_REPLICAS} replicas with a core each, simulated"
    return draw(title, across, up, lines, frozenset())


def _check_plot(measured: Measured) -> str:
    checks = measured.trial.checks if measured.trial else []
    lines = {
        "p99 measured": [(each.replicas, each.measured_p99_ms) for each in checks],
        "p99 simulated": [(each.replicas, each.simulated_p99_ms) for each in checks],
        "p50 measured": [(each.replicas, each.measured_p50_ms) for each in checks],
        "p50 simulated": [(each.replicas, each.simulated_p50_ms) for each in checks],
    }
    most = max((value for points in lines.values() for _, value in points), default=1.0)
    up = Axis("ms", [round(1.1 * most * part / 5, 1) for part in range(6)])
    title = "Measured and simulated, the replicas on one core"
    dots = frozenset({"p99 measured", "p50 measured"})
    return draw(title, Axis("replicas", [0, 1, 2, 3, 4]), up, lines, dots)


if __name__ == "__main__":
    main()
