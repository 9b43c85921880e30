"""What is good and what is bad: the colours of values."""

from dataclasses import dataclass

from dashboards.grafana import dashboard

_GREEN, _ORANGE, _RED, _NEUTRAL = "green", "orange", "red", "blue"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Colours from a value on; the first one is for everything below."""

    lowest: str
    steps: tuple[tuple[float, str], ...] = ()

    @property
    def model(self) -> dashboard.ThresholdsConfig:
        """As Grafana has them."""
        steps = ((None, self.lowest), *self.steps)
        return dashboard.ThresholdsConfig(
            mode=dashboard.ThresholdsMode.ABSOLUTE,
            steps=[dashboard.Threshold(value=value, color=color) for value, color in steps],
        )


NO_THRESHOLDS = Thresholds(_NEUTRAL)


def bad_from(critical: float, *, warning: float | None = None) -> Thresholds:
    """Red from `critical` on."""
    between = () if warning is None else ((warning, _ORANGE),)
    return Thresholds(_GREEN, (*between, (critical, _RED)))


def bad_below(critical: float, *, warning: float | None = None) -> Thresholds:
    """Red below `critical`."""
    between = ((critical, _GREEN),) if warning is None else ((critical, _ORANGE), (warning, _GREEN))
    return Thresholds(_RED, between)
