"""A counter of drops that can be read."""

from prometheus_client import CollectorRegistry

from middleware.drops import Drops


class CountedDrops(Drops):
    """Drops with a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(self.registry)

    @property
    def lines(self) -> float:
        """Lost log lines so far."""
        lost = self.registry.get_sample_value("telemetry_dropped_total", {"signal": "logs"})
        assert lost is not None
        return lost
