"""The composition root: the only file that sees features, technology and edge together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from socket import socket
from typing import TypedDict

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from middleware import Observability, Telemetry
from service.adapters.sentiment_opinions import ModelSentiment
from service.background import Background
from service.edge.access import RateLimiter, guards
from service.edge.admission import Admission
from service.edge.compression import Compression
from service.edge.head_requests import HeadRequests
from service.edge.response_headers import ResponseHeaders
from service.errors import install_problem_handlers
from service.health.router import health_router
from service.inference_protocol.router import inference_protocol_router
from service.lifespan import Adapters, open_adapters
from service.metrics import ServiceMetrics
from service.openapi import install_documentation, problems
from service.predictions.journal import Journal
from service.predictions.operations import model_actions, readiness_checks
from service.predictions.ports import Runtime
from service.predictions.predictor import Predictor
from service.predictions.router import MAX_UPLOAD_BYTES, predictions_router
from service.products.enricher import Lifetimes, ProductEnricher
from service.products.opinions import Opinions
from service.products.representation import JsonRepresentation
from service.products.router import products_router
from service.settings import Settings
from service.version import __version__

OpenAdapters = Callable[[Settings, ServiceMetrics], AbstractAsyncContextManager[Adapters]]

API_VERSION = "1.0.0"
PREFIXES = ("/v1", "")  # without one: an alias of the newest stable version


class State(TypedDict):
    """What the lifespan puts on `request.state`."""

    enricher: ProductEnricher
    opinions: Opinions
    predictor: Predictor
    runtime: Runtime
    rate_limiter: RateLimiter | None


def create_app(
    settings: Settings,
    open_adapters: OpenAdapters = open_adapters,
    telemetry: Telemetry | None = None,
) -> FastAPI:
    """The whole service over the adapters given; nothing is opened before its lifespan starts."""
    telemetry = telemetry or telemetry_of(settings)
    metrics = ServiceMetrics(telemetry.registry, telemetry.drops)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        background = Background(grace_seconds=settings.shutdown_grace_seconds)
        async with open_adapters(settings, metrics) as adapters, background:
            representation = JsonRepresentation()
            enricher = ProductEnricher(
                adapters.sources,
                adapters.cache,
                representation,
                _lifetimes(settings),
                background,
                metrics,
            )
            models = adapters.models
            predictor = Predictor(
                models.runtime,
                models.preparation,
                Journal(models.log, metrics.models),
                budget_seconds=settings.request_budget_seconds,
            )
            telemetry.health.checks = {**adapters.checks, **readiness_checks(models.runtime)}
            telemetry.actions.update(model_actions(models.runtime))
            yield {
                "enricher": enricher,
                "opinions": Opinions(
                    ModelSentiment(predictor), representation, background, metrics
                ),
                "predictor": predictor,
                "runtime": models.runtime,
                "rate_limiter": adapters.rate_limiter,
            }

    app = FastAPI(
        title="Stallscope",
        version=API_VERSION,
        description="One product out of many sources, answered even when some of them fail.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # Observability's part
    )
    app.state.registry = telemetry.registry
    _add_routes(app, settings, metrics)
    # The last one added is the outermost.
    app.add_middleware(Compression)
    app.add_middleware(HeadRequests)
    app.add_middleware(
        Admission,
        max_in_flight=settings.max_in_flight,
        shed=metrics.requests_shed,
        max_bytes={f"{prefix}/predict/image": MAX_UPLOAD_BYTES for prefix in PREFIXES},
    )
    app.add_middleware(ResponseHeaders)
    app.add_middleware(Observability, telemetry=telemetry)
    return app


def telemetry_of(settings: Settings, ops_listener: socket | None = None) -> Telemetry:
    """What observes the service, on a registry of its own."""
    registry = CollectorRegistry()
    for collect in (ProcessCollector, PlatformCollector, GCCollector):
        collect(registry=registry)
    return Telemetry(
        settings,
        registry=registry,
        service_name="stallscope",
        service_version=__version__,
        ops_listener=ops_listener,
    )


def _add_routes(app: FastAPI, settings: Settings, metrics: ServiceMetrics) -> None:
    limited = settings.rate is not None
    access = guards(settings.api_keys, limited=limited, refused=metrics.rate_limited_requests)
    answers = problems(401, 404, 422, 429, 503)
    model_answers = problems(400, 401, 404, 413, 422, 429, 503, 504)
    # Not by include_router, and the products first: every router and route that a request passes
    # on its way costs it up to 10 µs.
    for prefix in PREFIXES:
        app.routes.extend(products_router(prefix, answers, access).routes)
    for prefix in PREFIXES:
        app.routes.extend(predictions_router(prefix, model_answers, access).routes)
    app.routes.extend(inference_protocol_router(access, settings.request_budget_seconds).routes)
    for prefix in PREFIXES:
        app.routes.extend(health_router(prefix).routes)
    install_documentation(app)
    install_problem_handlers(app)


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(
        fresh_seconds=settings.cache.ttl_seconds,
        stale_seconds=settings.cache.stale_seconds,
        budget_seconds=settings.request_budget_seconds,
    )
