"""What a replica takes whether it is asked or not, and what its telemetry amounts to."""

import asyncio
import urllib.request
from collections.abc import Mapping
from time import monotonic, sleep

import asyncpg
import redis
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.arena import DATABASE_URL, Arena
from benchmarks.cluster.measured import CACHED, UNCACHED, Figures
from benchmarks.cluster.scene import Replica, Scene, replicas
from tests.middleware.otlp_receiver import OtlpReceiver, http_receiver

_TRACED_REQUESTS = 50
_EXPORT_SECONDS = 20.0
_A_PRODUCT_NOBODY_ASKED_FOR = 5_000


def memory_mb(scene: Scene) -> Figures:
    """Of one replica that has answered; the models are in it."""
    replica = scene.replicas[0]
    return {name.lower(): replica.kilobytes(name) / 1024 for name in ("Rss", "Pss")}


def connections(scene: Scene) -> Figures:
    """Of one replica, to the servers that all share."""
    number = len(scene.replicas)
    with redis.Redis(port=scene.arena.redis_port) as client:
        ours = int(client.info("clients")["connected_clients"]) - 1
    databases = asyncio.run(_database_sessions(scene.arena))
    return {"postgresql": databases / number, "valkey": ours / number}


def scrape(replica: Replica) -> Figures:
    """What Prometheus gets each time."""
    plain = replica.scrape()
    series = [line for line in plain.splitlines() if line and not line.startswith(b"#")]
    zipped = replica.scrape(zipped=True)
    return {"series": len(series), "bytes": len(plain), "gzip_bytes": len(zipped)}


def one_by_one(arena: Arena, surroundings: Mapping[str, str]) -> tuple[Figures, Figures, float]:
    """Spans of a request, their bytes as they are exported, and how long a query takes in ms."""
    counts, sizes = {}, {}
    with http_receiver() as receiver:
        sampled = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with replicas(arena, surroundings, 1, **sampled) as (replica,):
            first = _A_PRODUCT_NOBODY_ASKED_FOR
            cold = range(first, first + _TRACED_REQUESTS)
            for kind, asked in ((UNCACHED, cold), (CACHED, [first] * _TRACED_REQUESTS)):
                before = _received(receiver)
                _get_all(replica, asked)
                _await_export(receiver, before[0] + _TRACED_REQUESTS)
                after = _received(receiver)
                counts[kind] = (after[0] - before[0]) / _TRACED_REQUESTS
                sizes[kind] = (after[1] - before[1]) / _TRACED_REQUESTS
            query_ms = _query_ms(replica)
    return counts, sizes, query_ms


def _query_ms(replica: Replica) -> float:
    name = "db_client_operation_duration_seconds"
    text = replica.scrape().decode()
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("db_operation_name") == "SELECT"
    ]
    seconds, count = (
        sum(sample.value for sample in samples if sample.name == f"{name}_{part}")
        for part in ("sum", "count")
    )
    return seconds / max(1, count) * 1000


def _get_all(replica: Replica, products: range | list[int]) -> None:
    for product in products:
        url = f"http://127.0.0.1:{replica.place.port}/product/{product}/enriched"
        with urllib.request.urlopen(url, timeout=20) as answer:
            answer.read()


def _received(receiver: OtlpReceiver) -> tuple[int, int]:
    return len(receiver.spans), sum(each.ByteSize() for each in tuple(receiver.requests))


def _await_export(receiver: OtlpReceiver, at_least: int) -> None:
    """Until no more come; at least the requests' own spans have to."""
    deadline, seen = monotonic() + _EXPORT_SECONDS, -1
    while (found := len(receiver.spans)) < at_least or found != seen:
        if monotonic() > deadline:
            raise TimeoutError("no spans were exported")
        seen = found
        sleep(0.5)


async def _database_sessions(arena: Arena) -> int:
    connection = await asyncpg.connect(DATABASE_URL.format(port=arena.database_port))
    try:
        sessions: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stallscope'"
        )
        return sessions
    finally:
        await connection.close()
