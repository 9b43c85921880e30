"""The ops port: what operators and Prometheus ask, answered beside the application's event loop."""

from .server import OpsServer

__all__ = ["OpsServer"]
