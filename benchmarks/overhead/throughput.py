"""Over a socket: how many requests per second are left of the bare app's, and CPU time of each."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from benchmarks.overhead.programs import Server, VariantError, environment, served, take_spans
from benchmarks.overhead.variants import BARE, Variant
from benchmarks.overhead.wrk import Load, load
from benchmarks.programs import ProgramError

WARM_UP_SECONDS = 1.0
_FACTORY = "benchmarks.overhead.served:create"


@dataclass(frozen=True)
class Share:
    """One run, beside the bare app's runs just before and just after it."""

    of_rate: float
    added: float  # µs of CPU time per request
    spans: float  # that arrived, per request
    bare: Load


def throughput(
    variants: Sequence[Variant], sink: Mapping[str, str], seconds: float
) -> dict[str, Share]:
    """One round; who fails is said and left out."""
    shares: dict[str, Share] = {}
    by_routes = sorted(variants, key=lambda each: each.extra_routes)
    for extra_routes, group in groupby(by_routes, key=lambda each: each.extra_routes):
        bare = Variant(BARE.package, "", BARE.install, extra_routes=extra_routes)
        with _warm(bare, sink) as (yardstick, _):
            shares |= dict(_beside(yardstick, group, sink, seconds))
    return shares


def _beside(
    yardstick: Server, variants: Iterable[Variant], sink: Mapping[str, str], seconds: float
) -> Iterator[tuple[str, Share]]:
    before = load(yardstick, seconds)
    for variant in variants:
        take_spans(sink)
        try:
            with _warm(variant, sink) as (server, warm_up):
                during = load(server, seconds)
        except (ProgramError, VariantError) as error:
            print(f"FAILED: {variant.name}, over a socket: {error}", flush=True)
            continue
        after = load(yardstick, seconds)
        spans = take_spans(sink) / (warm_up.requests + during.requests)
        bare = _mean(before, after)
        yield variant.name, Share(during.rate / bare.rate, during.cpu - bare.cpu, spans, bare)
        before = after


@contextmanager
def _warm(variant: Variant, sink: Mapping[str, str]) -> Iterator[tuple[Server, Load]]:
    told = {**environment(variant, sink), "APP": json.dumps(variant.app)}
    with served(_FACTORY, told) as server:
        yield server, load(server, WARM_UP_SECONDS)


def _mean(before: Load, after: Load) -> Load:
    rate, cpu = (before.rate + after.rate) / 2, (before.cpu + after.cpu) / 2
    return Load(rate, cpu, before.requests + after.requests)
