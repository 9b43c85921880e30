"""The door to Sentry's SDK, which is imported where there is a DSN only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..drops import Drops
    from .sentry_client import Reporter


def reporting(
    dsn: str, drops: Drops, *, release: str | None = None
) -> AbstractContextManager[Reporter]:
    """See `sentry_client.reporting`."""
    # It takes 130 ms, and its urllib3 opens a socket when imported.
    from . import sentry_client  # noqa: PLC0415

    return sentry_client.reporting(dsn, drops, release=release)
