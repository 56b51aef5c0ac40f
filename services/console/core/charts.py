"""Where the bars of a chart stand. Pure; a template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 120
_GAP = 0.25


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, in the units of the drawing, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    label: str
    shown: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one measure, and the value that the highest one has."""

    bars: list[Bar]
    top: str
    first: str
    last: str
    width: int = WIDTH
    height: int = HEIGHT


def bars(points: Sequence[tuple[str, int, str]]) -> Chart | None:
    """A chart of label, value and shown value; None where no value is above 0."""
    most = max((value for _label, value, _shown in points), default=0)
    if most <= 0:
        return None
    step = WIDTH / len(points)
    drawn = [
        Bar(
            round(number * step + step * _GAP / 2, 2),
            round(HEIGHT * (1 - max(value, 0) / most), 2),
            round(step * (1 - _GAP), 2),
            round(HEIGHT * max(value, 0) / most, 2),
            label,
            shown,
        )
        for number, (label, value, shown) in enumerate(points)
    ]
    top = max(points, key=lambda point: point[1])[2]
    return Chart(drawn, top, points[0][0], points[-1][0])
