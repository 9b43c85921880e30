"""Who may call, and how often: FastAPI dependencies, added only when they are configured."""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from prometheus_client import Counter

_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An accepted key.")

Dependency = Callable[..., Coroutine[Any, Any, None]]


class UnknownKeyError(Exception):
    """No key, or not one of ours."""

    def __init__(self) -> None:
        super().__init__("An accepted key is needed in the header X-API-Key.")


class RateLimitedError(Exception):
    """The caller has used up its rate."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("The rate limit is reached; Retry-After says when to come back.")
        self.retry_after_seconds = retry_after_seconds


class RateLimiter(Protocol):
    """Counts callers' requests, all replicas together."""

    async def hit(self, caller: str) -> float | None:
        """Count one request; None when it is within the rate, else when to retry (epoch s)."""


def require_key(digests: frozenset[str]) -> Dependency:
    """A dependency that accepts keys whose SHA-256 is in `digests`. Raises UnknownKeyError."""
    accepted = [digest.encode() for digest in sorted(digests)]

    async def check_key(request: Request, key: Annotated[str | None, Security(_KEY)]) -> None:
        # Latin-1: the very bytes that came in the header.
        digest = hashlib.sha256((key or "").encode("latin-1")).hexdigest().encode()
        # Every digest is compared, so that the time says nothing about which one came close.
        if not key or not sum(hmac.compare_digest(digest, each) for each in accepted):
            raise UnknownKeyError
        request.state.caller = digest.decode()

    return check_key


def limit_rate(refused: Counter) -> Dependency:
    """A dependency that holds each key, else each client address, to the rate.

    Raises RateLimitedError.
    """
    refusals = refused.labels("rate_limit")

    async def check_rate(request: Request) -> None:
        limiter: RateLimiter = request.state.rate_limiter
        address = request.client.host if request.client else "unknown"
        retry_at = await limiter.hit(getattr(request.state, "caller", address))
        if retry_at is not None:
            refusals.inc()
            raise RateLimitedError(max(1, math.ceil(retry_at - time.time())))

    return check_rate


def guards(digests: frozenset[str], *, limited: bool, refused: Counter) -> list[Any]:
    """The dependencies of every route that consumers must have a right to."""
    key = [Depends(require_key(digests))] if digests else []
    return [*key, Depends(limit_rate(refused))] if limited else key
