"""Collapsed stacks, and the tree that a flame graph is of. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.bench.kinds import Frames, Stacks

_RUNNER = "asyncio/runners.py:"


@dataclass(slots=True)
class Node:
    """A function, called by the node that it is below."""

    spent_us: float = 0.0
    """With all below it."""
    below: dict[str, "Node"] = field(default_factory=dict)


def parsed(text: str, requests: int = 1) -> dict[Frames, float]:
    """Stacks without what is around the event loop, and their microseconds, divided by so many requests."""
    found: dict[Frames, float] = {}
    for line in text.splitlines():
        stack, _, spent_us = line.rpartition(" ")
        frames = stack.split(";")
        inside = max((number + 1 for number, frame in enumerate(frames) if frame.startswith(_RUNNER)), default=0)
        key = tuple(frames[inside:]) or tuple(frames)
        found[key] = found.get(key, 0.0) + int(spent_us) / requests
    return found


def tree(stacks: Stacks) -> Node:
    """The root has all."""
    root = Node()
    for frames, spent_us in stacks.items():
        node = root
        node.spent_us += spent_us
        for frame in frames:
            node = node.below.setdefault(frame, Node())
            node.spent_us += spent_us
    return root


def outline(node: Node, least_us: float, depth: int = 0) -> Iterator[str]:
    """Lines of text, indented, what is most first."""
    for frame, below in sorted(node.below.items(), key=lambda one: -one[1].spent_us):
        if below.spent_us >= least_us:
            yield f"{below.spent_us:8.1f} {' ' * depth}{frame}"
            yield from outline(below, least_us, depth + 1)
