"""A short sample of `./sluice bench chaos`: one seed, always the same faults; and what a seed is."""

from collections import Counter
from itertools import islice
from pathlib import Path

from deploy.local.stack import SERVICES
from tests.bench.chaos import chaos
from tests.bench.faults import AT_RANDOM, BROKER, LONG_S, POSTGRES, Kind, plan, volleys

SEED, FAULTS = 3551, 3
"""kill -9 of a relay (of two), the router and rate-limit, all within 0.4 s."""


def test_a_seed_is_a_plan_and_every_process_and_link_is_in_it() -> None:
    faults = list(islice(plan(1), 3_000))
    assert faults == list(islice(plan(1), 3_000))
    assert faults != list(islice(plan(2), 3_000))
    assert {(fault.victim, fault.kind) for fault in faults} >= {(name, kind) for name in SERVICES for kind in AT_RANDOM}
    volley = next(volleys(SEED, FAULTS, frozenset({Kind.KILL})))
    assert {fault.victim for fault in volley} == {"relay", "router", "rate-limit"}
    victims = Counter(fault.victim for fault in faults)
    assert set(victims) == {*SERVICES, BROKER, POSTGRES}
    assert all(LONG_S[0] <= fault.for_s <= LONG_S[1] for fault in faults if fault.kind is Kind.STOP)


async def test_whatever_fails_every_request_ends_once_and_is_booked_once(forks: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = await chaos(tmp_path, SEED, FAULTS, together=FAULTS, kinds=frozenset({Kind.KILL}))
    assert found.faults == FAULTS
    assert found.completed > 0
