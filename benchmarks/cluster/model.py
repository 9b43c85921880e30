"""From what one answer costs to what a million a second take: formulas, no more.

Requests for products follow Zipf's law, so few products get most of them. A product that is asked
for r times a second, and stays fresh for T seconds once it is fetched, is fetched r / (1 + r T)
times a second: that is what caching and single flight over all replicas leave to the sources. The
same formula, with a replica's share of the requests, says how often its own memory does not do.

Valkey tells every replica of every fetch, so that what it holds is never older than what others
hold. From some size on that is more work than is left: then requests are routed by product to
shards, each with replicas and a Valkey of its own. No product is in two of them, so the sources
have no more to do.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.cluster.measured import (
    CACHED,
    SENTIMENT,
    SHARED,
    TABULAR,
    UNCACHED,
    Measured,
)

# What is assumed; everything else is measured, or follows.
CATALOGUE = 1_000_000
FRESH_SECONDS = 30.0  # CACHE__TTL_SECONDS
LOCAL_BYTES = 32 * 1024 * 1024  # CACHE__LOCAL_MAX_BYTES
ENTRY_OVERHEAD_BYTES = 500  # as local_cache
PREDICTION_SHARES = {TABULAR: 0.01, SENTIMENT: 0.01}
LOOP_BUSY = 0.5  # of a replica's core: the rest is for bursts, and for a replica that is lost
INVALIDATIONS_BUSY = 0.1  # of a replica's core, at most
MODELS_BUSY = 0.6
SCRAPE_SECONDS = 15.0
TRACED = 0.01

RATES = (1_000, 10_000, 100_000, 1_000_000)
_EACH_RANK = 2_000  # ranks above are taken together, geometrically
_STEP = 1.02


@dataclass(frozen=True)
class Scale:
    """What a rate of requests comes to; quantities per second unless their name says otherwise."""

    rate: float
    shards: int
    replicas: int
    model_cores: float
    local_hits: float
    shared_hits: float
    fetches: float
    invalidations: float
    invalidations_busy: float
    valkey_commands: float
    valkey_bytes: float
    valkey_connections: float
    database_sessions: float
    database_sessions_busy: float
    memory_gb: float
    answer_bytes: float
    series: float
    scrape_bytes: float
    log_bytes: float
    spans: float
    span_bytes: float

    @property
    def hit_ratio(self) -> float:
        """Of requests for products, in either cache."""
        return 1 - self.fetches / (self.local_hits + self.shared_hits + self.fetches)


def scale(measured: Measured, rate: float) -> Scale:
    """With as many replicas as it takes; more replicas make each one's own memory know less."""
    products = rate * (1 - sum(PREDICTION_SHARES.values()))
    fetches = _fetches(products)
    invalidation_seconds = measured.invalidation_us / 1e6
    shards = max(1, math.ceil(fetches * invalidation_seconds / INVALIDATIONS_BUSY))
    told_busy = fetches / shards * invalidation_seconds
    replicas = 2 * shards  # one of each may go
    while (
        needed := _replicas(measured, rate, _Place(products, replicas, shards), told_busy)
    ) > replicas:
        replicas = needed
    missed = _missed(measured, _Place(products, replicas, shards))
    local, shared = products - missed, missed - fetches
    asked = {CACHED: local, SHARED: shared, UNCACHED: fetches}
    asked |= {kind: rate * share for kind, share in PREDICTION_SHARES.items()}
    # A shared hit looks like a cached one from outside, and is one command more inside.
    alike = asked | {CACHED: local + shared}
    alike.pop(SHARED)
    return Scale(
        rate=rate,
        shards=shards,
        replicas=replicas,
        model_cores=asked[SENTIMENT] * measured.cpu_us[SENTIMENT]["1"] / 1e6 / MODELS_BUSY,
        local_hits=local,
        shared_hits=shared,
        fetches=fetches,
        invalidations=fetches * (replicas / shards - 1),
        invalidations_busy=told_busy,
        valkey_commands=shared + fetches * measured.valkey_commands[UNCACHED],
        valkey_bytes=shared * measured.answer_bytes[CACHED]
        + fetches * measured.valkey_bytes[UNCACHED],
        valkey_connections=replicas * measured.connections["valkey"],
        database_sessions=replicas * measured.connections["postgresql"],
        database_sessions_busy=fetches * measured.query_ms / 1000,
        memory_gb=replicas * measured.memory_mb["rss"] / 1024,
        answer_bytes=sum(alike[kind] * measured.answer_bytes[kind] for kind in alike),
        series=replicas * measured.scrape["series"],
        scrape_bytes=replicas * measured.scrape["gzip_bytes"] / SCRAPE_SECONDS,
        log_bytes=sum(alike[kind] * measured.log_bytes[kind] for kind in alike),
        spans=TRACED * sum(alike[kind] * measured.spans[kind] for kind in (CACHED, UNCACHED)),
        span_bytes=TRACED
        * sum(alike[kind] * measured.span_bytes[kind] for kind in (CACHED, UNCACHED)),
    )


@dataclass(frozen=True)
class _Place:
    """Who is asked so many products a second."""

    products: float
    replicas: int
    shards: int


def _replicas(measured: Measured, rate: float, place: _Place, told_busy: float) -> int:
    """How many it takes if there are so many; texts are computed elsewhere."""
    fetches, missed = _fetches(place.products), _missed(measured, place)
    busy = (
        (place.products - missed) * measured.cpu_us[CACHED]["1"]
        + (missed - fetches) * measured.cpu_us[SHARED]["1"]
        + fetches * measured.cpu_us[UNCACHED]["1"]
        + rate * PREDICTION_SHARES[TABULAR] * measured.cpu_us[TABULAR]["1"]
    ) / 1e6
    return math.ceil(busy / (LOOP_BUSY - measured.idle_cpu_ratio - told_busy))


def _fetches(products: float) -> float:
    """How often the sources are asked, each of them."""
    return sum(count * asked / (1 + asked * FRESH_SECONDS) for _, count, asked in _asked(products))


def _missed(measured: Measured, place: _Place) -> float:
    """How often a replica's own memory does not do: it has no room, or did not need it lately."""
    entries = LOCAL_BYTES / (measured.answer_bytes[CACHED] + ENTRY_OVERHEAD_BYTES)
    own = place.replicas / place.shards  # replicas that are asked for the same product
    return sum(
        count * asked / (1 + asked / own * FRESH_SECONDS if rank / place.shards <= entries else 1)
        for rank, count, asked in _asked(place.products)
    )


def _asked(products: float) -> Iterator[tuple[float, float, float]]:
    """By Zipf's law: a rank, how many products it stands for, how often each is asked for."""
    weight = sum(count / rank for rank, count in _ranks())
    for rank, count in _ranks():
        yield rank, count, products / rank / weight


def _ranks() -> Iterator[tuple[float, float]]:
    """Ranks in the catalogue, and how many products each stands for."""
    rank = 1.0
    while rank <= CATALOGUE:
        last = max(rank, rank * _STEP) if rank > _EACH_RANK else rank
        last = min(math.floor(last), CATALOGUE)
        yield (rank + last) / 2, last - rank + 1
        rank = last + 1
