"""What is broken in a run of chaos, when and for how long: it follows from the seed alone. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from deploy.local.stack import SERVICES


class Kind(StrEnum):
    """A fault."""

    KILL = "kill -9"
    STOP = "SIGSTOP"
    RESTART = "restart"
    CUT = "network cut"
    DELAY = "network delay"
    HALF_OPEN = "half-open"
    CLOCK = "clock jump"
    DISK = "disk full"


AT_RANDOM = (Kind.KILL, Kind.STOP, Kind.RESTART, Kind.CUT, Kind.DELAY)
WEIGHTS = {Kind.KILL: 70, Kind.STOP: 10, Kind.RESTART: 10, Kind.CUT: 5, Kind.DELAY: 5}
BROKER, POSTGRES = "broker", "postgres"
BESIDE = {BROKER: (Kind.KILL, Kind.STOP), POSTGRES: (Kind.KILL, Kind.STOP, Kind.RESTART)}
"""What else is broken, and how."""
BESIDE_SHARE = 0.06
"""Of all faults, for each of these."""
PAUSE_S = (0.0, 1.5)
"""After the system answers again."""
LONG_S = (3.5, 8.0)
"""Beyond the session time-out (3 s), and sometimes beyond the lease of a reply partition (6 s)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them."""

    after_s: float
    victim: str
    kind: Kind
    for_s: float = 0.0
    by_s: float = 0.0
    """Of a delay, or of a clock's jump."""


def volleys(seed: int, most: int = 1, kinds: frozenset[Kind] = frozenset(Kind)) -> Iterator[list[Fault]]:
    """Faults that come together, each ``after_s`` after the one before; without end, and the same for the same seed.

    Args:
        most: at once; one victim is broken once.
        kinds: all others are left out.
    """
    chance, faults = random.Random(f"volleys of {seed}"), (fault for fault in plan(seed) if fault.kind in kinds)
    for first in faults:
        wanted, volley = chance.randint(1, most), {first.victim: first}
        while len(volley) < wanted:
            fault = next(faults)
            volley.setdefault(fault.victim, fault)
        yield list(volley.values())


def plan(seed: int) -> Iterator[Fault]:
    """Faults without end; the same for the same seed."""
    chance = random.Random(seed)
    while True:
        after_s = round(chance.uniform(*PAUSE_S), 2)
        drawn = chance.random()
        beside = next((name for n, name in enumerate(BESIDE) if drawn < (n + 1) * BESIDE_SHARE), None)
        if beside:
            victim, kind = beside, chance.choice(BESIDE[beside])
        else:
            victim = chance.choice(SERVICES)
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        for_s = round(chance.uniform(*LONG_S), 2)
        by_s = round(chance.uniform(0.02, 0.25), 3)
        lasts = kind in (Kind.STOP, Kind.CUT, Kind.DELAY)
        yield Fault(after_s, victim, kind, for_s if lasts else 0.0, by_s if kind is Kind.DELAY else 0.0)


def matrix(*, clocks: bool, disks: bool) -> Iterator[Fault]:
    """Each fault of each victim, once; each lasts for longer than a session, and than the lease of a reply partition.

    Args:
        clocks: services have clocks that can jump: an hour forward, and an hour back.
        disks: broker and PostgreSQL have one each that can be filled.
    """
    kinds = [Kind.KILL, Kind.RESTART, Kind.STOP, Kind.CUT, Kind.DELAY, Kind.HALF_OPEN]
    for victim in (*SERVICES, *BESIDE):
        for kind in BESIDE.get(victim, kinds):
            yield Fault(0.5, victim, kind, 7.0, 0.25 if kind is Kind.DELAY else 0.0)
    if clocks:
        for victim in SERVICES:
            for by_s in (3_600.0, -3_600.0):
                yield Fault(0.5, victim, Kind.CLOCK, 7.0, by_s)
    if disks:
        for victim in BESIDE:
            yield Fault(0.5, victim, Kind.DISK, 7.0)
