"""The ops port: what operators and Prometheus ask, answered beside the application's event loop."""

from .actions import Action, RefusedError
from .server import OpsServer, Shown

__all__ = ["Action", "OpsServer", "RefusedError", "Shown"]
