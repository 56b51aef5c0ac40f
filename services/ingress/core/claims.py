"""Who owns which partition of ``gateway.replies``. Pure: a fold over ``gateway.claims``.

The topic has one partition, so all ingresses fold the same records in the same order and agree. A record counts only
if it supersedes the last one of its partition that counted; of two rivals the first on the log wins, and a holder
that was superseded cannot renew. No clock is compared between machines: the lease only says how long a rival must
have seen nothing new before it may try.
"""

from dataclasses import dataclass

from contracts.claims import PartitionClaimed


@dataclass(frozen=True, slots=True)
class Holder:
    """The last claim of a partition that counted."""

    ingress_id: str
    offset: int
    lease_s: float
    seen_at_s: float
    """When this process read it, by its own monotonic clock."""
    released: bool

    def lapsed(self, now_s: float) -> bool:
        """True if a rival may supersede it."""
        return self.released or now_s - self.seen_at_s > self.lease_s


class Claims:
    """The state of all partitions."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._tips: dict[int, dict[int, Holder]] = {}
        self._proven: set[int] = set()

    def apply(self, claim: PartitionClaimed, offset: int, seen_at_s: float) -> None:
        """Takes the next record of the topic in."""
        if self._first is None:
            self._first = offset
        tips = self._tips.setdefault(claim.partition, {})
        holder = Holder(claim.ingress_id, offset, claim.lease_ms / 1000, seen_at_s, claim.action == "release")
        if claim.supersedes in tips:
            self._tips[claim.partition] = {offset: holder}
            self._proven.add(claim.partition)
        elif claim.supersedes < self._first and claim.partition not in self._proven and (self._first > 0 or not tips):
            # The log's head is cut by retention: which of several is the true one, its renewal will show.
            tips[offset] = holder

    def holder(self, partition: int) -> Holder | None:
        """The partition's last claim that counted, if it was ever claimed."""
        return next(iter(self._tips.get(partition, {}).values()), None)

    def to_claim(self, partitions: int, now_s: float) -> tuple[int, int] | None:
        """A partition that may be claimed now, and the offset that the claim has to supersede.

        Never claimed ones come first, then the one whose holder has been gone longest.
        """
        best: tuple[float, int, int] | None = None
        for partition in range(partitions):
            holder = self.holder(partition)
            if holder is None:
                return partition, -1
            if holder.lapsed(now_s) and (best is None or holder.seen_at_s < best[0]):
                best = (holder.seen_at_s, partition, holder.offset)
        return None if best is None else best[1:]
