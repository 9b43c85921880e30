"""Lines on a grid, as SVG: small enough to be read as text."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 190, 44, 52
# Okabe and Ito's, for those who see fewer colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}"
    ".g{stroke:#ddd}.l{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class Axis:
    """What it shows, and at which numbers it has a line; from the first of them to the last."""

    title: str
    ticks: Sequence[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the first tick, 1 at the last."""
        low, high, at = (self._scaled(each) for each in (self.ticks[0], self.ticks[-1], value))
        return (at - low) / (high - low)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-9)) if self.logarithmic else value


def draw(
    title: str, across: Axis, up: Axis, lines: Mapping[str, Points], dots: frozenset[str]
) -> str:
    """One line for each name; those in `dots` are points without a line."""

    def x(value: float) -> float:
        return _LEFT + across.place(value) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - up.place(value) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text class="t" x="{_LEFT}" y="24">{escape(title)}</text>',
        *_grid(across, up, x, y),
    ]
    for number, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        parts += _line(points, colour, x, y, dotted=name in dots)
        top = _TOP + 8 + 20 * number
        parts.append(f'<circle cx="{_WIDTH - _RIGHT + 16}" cy="{top}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 27}" y="{top + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def short(value: float) -> str:
    """A number as people say it."""
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _grid(
    across: Axis, up: Axis, x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    left, right, bottom, top = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, _TOP
    parts = []
    for tick in across.ticks:
        at = x(tick)
        parts.append(f'<path class="g" d="M{at:.1f} {bottom}V{top}"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{short(tick)}</text>'
        )
    for tick in up.ticks:
        at = y(tick)
        parts.append(f'<path class="g" d="M{left} {at:.1f}H{right}"/>')
        parts.append(
            f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    middle = (left + right) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(across.title)}</text>'
    )
    parts.append(
        f'<text transform="translate(16 {(top + bottom) / 2}) rotate(-90)"'
        f' text-anchor="middle">{escape(up.title)}</text>'
    )
    return parts


def _line(
    points: Points,
    colour: str,
    x: Callable[[float], float],
    y: Callable[[float], float],
    *,
    dotted: bool,
) -> list[str]:
    if dotted:
        return [
            f'<circle cx="{x(one):.1f}" cy="{y(other):.1f}" r="5" fill="{colour}"/>'
            for one, other in points
        ]
    path = " ".join(f"{x(one):.1f},{y(other):.1f}" for one, other in points)
    return [f'<polyline class="l" stroke="{colour}" points="{path}"/>']
