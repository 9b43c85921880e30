"""`GET /health` for consumers; what the service depends on is asked at the ops port."""

from datetime import UTC, datetime

from fastapi import APIRouter

from service.contracts import Health


def health_router(prefix: str) -> APIRouter:
    """The route under `prefix`."""
    router = APIRouter(prefix=prefix, tags=["health"], include_in_schema=bool(prefix))

    @router.get("/health", summary="Is the service there?")
    async def health() -> Health:
        return Health(timestamp=datetime.now(UTC))

    return router
