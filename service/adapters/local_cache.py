"""The hottest products in this process: one read from Redis costs as much as a whole request.

(`benchmarks/README.md` has the figures.) What another replica writes, or Redis forgets, is dropped
here too: Redis sends invalidation messages.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachetools import LRUCache

from service.products.domain import ProductId
from service.products.ports import Entry, SharedCache

_OVERHEAD_BYTES = 500  # of an entry's Python objects, beside its body


class LocalCache:
    """Least recently used entries, up to `max_bytes`, before a cache that replicas share.

    Without a shared one (None) it is the only cache, and every replica fetches for itself.
    """

    def __init__(self, shared: SharedCache | None, *, max_bytes: int) -> None:
        self._shared = shared
        self._entries: LRUCache[ProductId, Entry] = LRUCache(max_bytes, _size)
        self._loading: dict[ProductId, object] = {}

    def peek(self, product_id: ProductId) -> Entry | None:
        """What this process holds; no I/O."""
        return self._entries.get(product_id)

    async def get(self, product_id: ProductId) -> Entry | None:
        """What the replicas share, now held here too. Raises CacheUnavailableError."""
        if self._shared is None:
            return self.peek(product_id)
        self._loading[product_id] = this_get = object()
        try:
            entry = await self._shared.get(product_id)
            if entry and self._loading.get(product_id) is this_get:  # not outdated on its way here
                self._hold(product_id, entry)
            return entry
        finally:
            if self._loading.get(product_id) is this_get:
                del self._loading[product_id]

    async def put(self, product_id: ProductId, entry: Entry) -> None:
        """Keep an entry here, whatever becomes of the shared one. Raises CacheUnavailableError."""
        try:
            if self._shared is not None:
                await self._shared.put(product_id, entry)
        finally:
            self._hold(product_id, entry)

    async def forget(self, product_id: ProductId) -> None:
        """Keep nothing of it, here or shared. Raises CacheUnavailableError."""
        self.outdated(product_id)
        if self._shared is not None:
            await self._shared.forget(product_id)

    @asynccontextmanager
    async def exclusive(self, product_id: ProductId) -> AsyncIterator[bool]:
        """Be the only replica that fetches a product, as far as the replicas can agree."""
        if self._shared is None:
            yield False
        else:
            async with self._shared.exclusive(product_id) as waited:
                yield waited

    def outdated(self, product_id: ProductId | None) -> None:
        """Drop a product that changed elsewhere; None: any may have."""
        if product_id is None:
            self._entries.clear()
            self._loading.clear()
        else:
            self._entries.pop(product_id, None)
            self._loading.pop(product_id, None)

    def _hold(self, product_id: ProductId, entry: Entry) -> None:
        if _size(entry) <= self._entries.maxsize:
            self._entries[product_id] = entry


def _size(entry: Entry) -> int:
    return len(entry.body) + _OVERHEAD_BYTES
