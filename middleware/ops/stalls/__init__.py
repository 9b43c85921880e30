"""`/stalls`: who blocked the event loop, for a browser, for programs and for profilers."""

from .pages import stall_pages

__all__ = ["stall_pages"]
