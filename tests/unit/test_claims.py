"""Two ingresses never own one partition, whatever is delayed, lost or tried at the same time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.claims import PartitionClaimed
from services.ingress.core.claims import Claims

PARTITIONS = 2
LEASE_S = 6.0


class Rival:
    """An ingress as the log sees it: it reads late, and claims what it believes to be free."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.claims = Claims()
        self.read = 0
        self.believes: tuple[int, float] | None = None
        """Its partition, and when it sent the claim or renewal that it saw succeed."""

    def read_on(self, log: list[PartitionClaimed], upto: int, now: float) -> None:
        for offset in range(self.read, min(upto, len(log))):
            self.claims.apply(log[offset], offset, now)
        self.read = max(self.read, min(upto, len(log)))

    def owns(self, now: float) -> int | None:
        if self.believes is None or now - self.believes[1] >= LEASE_S:
            return None
        return self.believes[0]

    def act(self, log: list[PartitionClaimed], now: float) -> None:
        """Claims or renews; sees the result once it has read its own record."""
        if self.owns(now) is not None:
            assert self.believes is not None
            partition = self.believes[0]
            holder = self.claims.holder(partition)
            supersedes = holder.offset if holder else -1
        else:
            found = self.claims.to_claim(PARTITIONS, now)
            if found is None:
                return
            partition, supersedes = found
        log.append(_claim(partition, self.name, supersedes))
        self.read_on(log, len(log), now)
        holder = self.claims.holder(partition)
        self.believes = (partition, now) if holder and holder.ingress_id == self.name else None


def _claim(partition: int, who: str, supersedes: int, action: str = "claim") -> PartitionClaimed:
    return PartitionClaimed.model_validate(
        {
            "partition": partition,
            "ingress_id": who,
            "action": action,
            "claimed_at_ms": 0,
            "lease_ms": int(LEASE_S * 1000),
            "supersedes": supersedes,
        }
    )


steps = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["act", "read", "wait"]), st.floats(0.1, 8.0)), max_size=120
)


@settings(max_examples=300)
@given(steps)
def test_no_partition_has_two_owners(moves: list[tuple[int, str, float]]) -> None:
    log: list[PartitionClaimed] = []
    rivals = [Rival(f"ingress-{number}") for number in range(4)]
    now = 0.0
    for number, move, amount in moves:
        rival = rivals[number]
        if move == "wait":
            now += amount
        elif move == "read":
            rival.read_on(log, len(log), now)
        else:
            rival.act(log, now)
        owners = [owned for rival in rivals if (owned := rival.owns(now)) is not None]
        assert len(owners) == len(set(owners))


@given(steps, st.integers(0, 40))
def test_all_who_read_the_log_agree_even_when_its_head_is_cut(moves: list[tuple[int, str, float]], cut: int) -> None:
    log: list[PartitionClaimed] = []
    rivals = [Rival(f"ingress-{number}") for number in range(3)]
    now = 0.0
    for number, move, amount in moves:
        if move == "wait":
            now += amount
        elif move == "read":
            rivals[number % 3].read_on(log, len(log), now)
        else:
            rivals[number % 3].act(log, now)
    whole, late = Claims(), Claims()
    for offset, record in enumerate(log):
        whole.apply(record, offset, 0.0)
    for offset in range(min(cut, len(log)), len(log)):
        late.apply(log[offset], offset, 0.0)
    for partition in range(PARTITIONS):
        mine, theirs = late.holder(partition), whole.holder(partition)
        if mine is not None and partition in late._proven:
            assert mine == theirs


def test_a_release_frees_at_once_and_a_silent_holder_after_its_lease() -> None:
    claims = Claims()
    claims.apply(_claim(0, "a", -1), 0, 10.0)
    claims.apply(_claim(1, "b", -1), 1, 10.0)
    assert claims.to_claim(2, 15.0) is None
    assert claims.to_claim(2, 16.1) == (0, 0)
    claims.apply(_claim(1, "b", 1, "release"), 2, 15.0)
    assert claims.to_claim(2, 15.0) == (1, 2)


def test_the_first_of_two_rivals_wins() -> None:
    claims = Claims()
    claims.apply(_claim(0, "a", -1), 0, 0.0)
    claims.apply(_claim(0, "b", 0), 1, 0.0)
    claims.apply(_claim(0, "c", 0), 2, 0.0)
    claims.apply(_claim(0, "a", 0), 3, 0.0)
    holder = claims.holder(0)
    assert holder is not None
    assert (holder.ingress_id, holder.offset) == ("b", 1)
