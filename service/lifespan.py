"""Opens everything that the service stands on, and closes it in reverse."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import structlog

from middleware import Check, DependencyMetrics
from service.adapters.circuit_breaker import CircuitBreaker
from service.adapters.cpu_quota import usable_processors
from service.adapters.http_upstreams import HttpReviews, HttpStock, HttpUpstream, open_session
from service.adapters.inference_threads import InferenceThreads
from service.adapters.local_cache import LocalCache
from service.adapters.model_store import ModelStore
from service.adapters.model_versions import Rollout
from service.adapters.onnx_sessions import onnx_sessions
from service.adapters.postgres_catalog import PostgresCatalog
from service.adapters.postgres_pool import open_pool
from service.adapters.postgres_prediction_log import open_prediction_log
from service.adapters.postgres_readiness import readiness_checks
from service.adapters.preparation_threads import DecodedImages, PreparationThreads
from service.adapters.rate_limits import MovingWindowLimits
from service.adapters.redis_cache import RedisCache
from service.adapters.redis_link import RedisLink, open_redis
from service.adapters.remote_sessions import remote_sessions
from service.adapters.tokenizers_texts import TokenizersTexts
from service.background import running
from service.edge.access import RateLimiter
from service.metrics import ServiceMetrics
from service.predictions.ports import PredictionLog, Runtime
from service.predictions.predictor import Preparation
from service.products.enricher import Sources
from service.products.ports import Cache
from service.settings import Settings, UpstreamSettings

log = structlog.get_logger()

REMOTE_CALLS = 16  # at once: another server computes, our threads only wait for it
MOST_IMAGES = 16  # waiting for each processor, and in memory, with up to 10 MiB each


@dataclass(frozen=True, slots=True)
class ModelAdapters:
    """What predictions need."""

    runtime: Runtime
    preparation: Preparation
    log: PredictionLog


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the features need of the world, open."""

    sources: Sources
    cache: Cache
    models: ModelAdapters
    rate_limiter: RateLimiter | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)


@asynccontextmanager
async def open_adapters(settings: Settings, metrics: ServiceMetrics) -> AsyncIterator[Adapters]:
    """The real ones. Raises what asyncpg raises when the database cannot be reached."""
    async with AsyncExitStack() as stack:
        dependencies = metrics.dependencies
        create_pool = partial(dependencies.create_pool, "products")
        pool = await stack.enter_async_context(
            open_pool(settings.database, settings.database_url, create_pool)
        )

        def breaker(dependency: str) -> CircuitBreaker:
            return CircuitBreaker(dependency, on_change=metrics.circuit_changed)

        async def upstream(dependency: str, settings: UpstreamSettings) -> HttpUpstream:
            session = await stack.enter_async_context(
                open_session(settings, [dependencies.aiohttp_trace_config()])
            )
            return HttpUpstream(session, settings, breaker(dependency))

        link = await _open_link(stack, settings, dependencies)
        cache = await _open_cache(stack, settings, link)
        yield Adapters(
            sources=Sources(
                PostgresCatalog(pool, settings.database, breaker("postgresql")),
                HttpReviews(await upstream("reviews", settings.reviews)),
                HttpStock(await upstream("inventory", settings.inventory)),
            ),
            cache=cache,
            models=await _open_models(stack, settings, metrics),
            rate_limiter=MovingWindowLimits(settings.rate, link) if settings.rate else None,
            checks=readiness_checks(pool),
        )


async def _open_models(
    stack: AsyncExitStack, settings: Settings, service_metrics: ServiceMetrics
) -> ModelAdapters:
    models, metrics = settings.models, service_metrics.models
    dependencies = service_metrics.dependencies
    prediction_log = await stack.enter_async_context(
        open_prediction_log(
            settings.database,
            settings.database_url,
            metrics,
            raw_inputs=settings.prediction_log.raw_inputs,
            create_pool=partial(dependencies.create_pool, "prediction_log"),
        )
    )
    processors = usable_processors()
    workers = models.threads or (REMOTE_CALLS if models.remote_url else processors)
    threads = await stack.enter_async_context(
        InferenceThreads(metrics, workers=workers, most_rows=models.queue_rows)
    )
    open_session = (
        remote_sessions(str(models.remote_url), settings.request_budget_seconds)
        if models.remote_url
        else onnx_sessions(models.providers)
    )
    store = ModelStore(
        settings.models_dir,
        open_session,
        threads,
        metrics,
        Rollout(models.canary_share, models.shadow),
    )
    runtime = await stack.enter_async_context(store)
    # Apart, so that no text waits for pictures.
    texts = PreparationThreads(threads=1, most_waiting=models.queue_rows)
    images = PreparationThreads(threads=processors, most_waiting=MOST_IMAGES * processors)
    preparation = Preparation(
        TokenizersTexts(await stack.enter_async_context(texts)),
        DecodedImages(await stack.enter_async_context(images)),
    )
    return ModelAdapters(runtime, preparation, prediction_log)


async def _open_link(
    stack: AsyncExitStack, settings: Settings, dependencies: DependencyMetrics
) -> RedisLink | None:
    if settings.redis_url is None:
        log.warning("redis_not_configured", effect="each replica caches for itself")
        return None
    return await stack.enter_async_context(
        open_redis(settings.redis_url, partial(dependencies.observe_redis, name="cache"))
    )


async def _open_cache(
    stack: AsyncExitStack, settings: Settings, link: RedisLink | None
) -> LocalCache:
    max_bytes = settings.cache.local_max_bytes
    if link is None:
        return LocalCache(None, max_bytes=max_bytes)
    slowest = max(settings.reviews.timeout_seconds, settings.inventory.timeout_seconds)
    lock_seconds = slowest + 0.5  # longer than a fetch takes
    time_left = settings.request_budget_seconds - slowest - 0.25
    shared = RedisCache(
        link,
        stale_seconds=settings.cache.stale_seconds,
        lock_seconds=lock_seconds,
        # Who has waited in vain still has time to fetch.
        wait_seconds=max(0.0, min(lock_seconds, time_left)),
    )
    cache = LocalCache(shared, max_bytes=max_bytes)
    follow = running(shared.follow(cache.outdated), name="cache_invalidation")
    await stack.enter_async_context(follow)
    return cache
