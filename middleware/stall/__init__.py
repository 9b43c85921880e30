"""Who blocks the event loop, while it is still blocked."""

from .detector import StallDetector

__all__ = ["StallDetector"]
