"""A flame graph as one SVG without scripts, fonts or links. Pure.

The width of a box is CPU; who called it is below. Colours are of kinds of work.
"""

from collections.abc import Iterator
from html import escape
from zlib import crc32

from tests.bench.flames import Node
from tests.bench.kinds import (
    CONNECTION,
    DATABASE,
    DECODING,
    ENCODING,
    EVENT_LOOP,
    FETCHING,
    GARBAGE,
    HTTP,
    PRODUCING,
    PROVIDER,
    TELEMETRY,
    kind,
)

WIDTH = 1200
ROW = 16
HEAD = 62
LETTER = 6.2
"""Width of one, about, at 11 px."""
LEAST_SHARE = 0.005
_OURS = "our own"
_HUES = {
    FETCHING: 205,
    PRODUCING: 225,
    CONNECTION: 185,
    DECODING: 280,
    ENCODING: 310,
    HTTP: 95,
    PROVIDER: 140,
    DATABASE: 165,
    TELEMETRY: 55,
    GARBAGE: 0,
    EVENT_LOOP: None,
    _OURS: 30,
}
"""Degrees; None is grey."""


def flame_graph(title: str, root: Node, least_share: float = LEAST_SHARE) -> str:
    """An SVG.

    Args:
        least_share: what is less of the whole is left out.
    """
    least_us = root.spent_us * least_share
    depth = _depth(root, least_us)
    height = HEAD + (depth + 1) * ROW + 6
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Verdana, sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="17" font-size="14">{escape(title)}</text>',
        *_legend(),
    ]
    scale = WIDTH / root.spent_us if root.spent_us else 0.0
    lines += _boxes(root, (), 0.0, scale, least_us, height - ROW - 4)
    return "\n".join([*lines, "</svg>", ""])


def _depth(node: Node, least_us: float) -> int:
    return max((1 + _depth(below, least_us) for below in node.below.values() if below.spent_us >= least_us), default=0)


def _legend() -> Iterator[str]:
    x, y = 8.0, 27
    for name, hue in _HUES.items():
        width = 20 + len(name) * 5.1
        if x + width > WIDTH:
            x, y = 8.0, y + 14
        yield f'<rect x="{x:.0f}" y="{y}" width="9" height="9" fill="{_colour(hue, 0)}"/>'
        yield f'<text x="{x + 12:.0f}" y="{y + 8}" font-size="9">{escape(name)}</text>'
        x += width


def _boxes(node: Node, frames: tuple[str, ...], x: float, scale: float, least_us: float, y: int) -> Iterator[str]:
    width = node.spent_us * scale
    name = _short(frames[-1]) if frames else "all"
    found = kind(frames) if frames else EVENT_LOOP
    colour = _colour(_HUES.get(found, _HUES[_OURS]), crc32(name.encode()) % 3)
    letters = int((width - 4) / LETTER)
    whole = f"{frames[-1] if frames else 'all'}: {node.spent_us:.1f} µs"
    yield f"<g><title>{escape(whole)}</title>"
    yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="15" fill="{colour}"/>'
    if letters >= 3:
        shown = name if len(name) <= letters else name[: letters - 1] + "…"
        yield f'<text x="{x + 2:.1f}" y="{y + 11}">{escape(shown)}</text>'
    yield "</g>"
    for frame, below in sorted(node.below.items()):
        if below.spent_us >= least_us:
            yield from _boxes(below, (*frames, frame), x, scale, least_us, y - ROW)
        x += below.spent_us * scale


def _short(frame: str) -> str:
    return frame.rpartition(":")[2]


def _colour(hue: int | None, shade: int) -> str:
    return f"hsl({hue},65%,{70 + 4 * shade}%)" if hue is not None else f"hsl(0,0%,{78 + 4 * shade}%)"
