"""Do log and ledger agree? Pure: what each holds comes in, the differences come out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from contracts.charges import ChargePosted

MOST_NAMED = 5
OVERDUE_MS = 60_000
"""After its deadline, a request may take this long to be in the books: the ingress waits 5 s for the last answer."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A request as the ledger has it."""

    outcome: str
    cost_microdollars: int
    entry_microdollars: int | None
    """Of its entry in the journal; None where there is none."""
    reserved_microdollars: int | None = None
    """What was held for it; None where nothing had to be."""


@dataclass(slots=True)
class Books:
    """What was read, the log first, then the ledger in one snapshot, then the charges."""

    now_ms: int
    accepted: dict[UUID, int] = field(default_factory=dict)
    """Requests on the log, with their deadline (epoch, ms)."""
    unreadable: int = 0
    """Records of requests that are in the dead-letter queue instead."""
    booked: dict[UUID, Booked] = field(default_factory=dict)
    """Requests in the ledger that were accepted in the audited span, as far as the log reaches back."""
    held: dict[UUID, int] = field(default_factory=dict)
    """Microdollars that rate-limit held for requests."""
    announced: set[UUID] = field(default_factory=set)
    """Requests of which `ReservationExceeded` was published; the events in the outbox are among them."""
    unpublished: set[UUID] = field(default_factory=set)
    """Charges that are in the outbox still."""
    charged: dict[UUID, int] = field(default_factory=dict)
    """Charges on the topic, with their microdollars."""
    repeated: int = 0
    """Charges that were on the topic more than once."""
    contradicted: set[UUID] = field(default_factory=set)
    """Charges of one ID that differ from each other."""
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Owners whose balance (first) is not the sum of their entries (second)."""
    rolled_up: int = 0
    """Microdollars in the daily roll-ups."""
    revenue: int = 0
    """Microdollars that charges brought, in all the ledger."""
    usage_total: int = 0
    """Microdollars of all usage in the ledger."""

    def take_charge(self, charge: ChargePosted) -> None:
        """A charge from the topic."""
        charge_id = UUID(charge.charge_id)
        if charge_id in self.charged:
            self.repeated += 1
            if self.charged[charge_id] != charge.cost_microdollars:
                self.contradicted.add(charge_id)
        self.charged[charge_id] = charge.cost_microdollars


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an audit; it holds if there are no differences."""

    accepted: int
    in_flight: int
    oldest_in_flight: list[str]
    """The first few of them."""
    outcomes: Mapping[str, int]
    unreadable: int
    held_microdollars: int
    """For requests that are not in the ledger yet: 0 at rest."""
    reserved_microdollars: int
    """What was held for those that are charged: beside it, how good the estimate is."""
    charged_microdollars: int
    revenue_microdollars: int
    repeated: int
    """Charges that were on the topic more than once; consumers know them by their ID."""
    overruns: list[str]
    """Requests that cost more than was held for them, with `ReservationExceeded` published: the
    balance bears it, and below 0 no more is accepted. Known, and no difference."""
    differences: list[str]

    @property
    def holds(self) -> bool:
        """Nothing contradicts anything."""
        return not self.differences


def audit(books: Books) -> Report:
    """Compares. Charges are compared for the requests that the log still holds."""
    outcomes = Counter(booked.outcome for request_id, booked in books.booked.items() if request_id in books.accepted)
    missing = [request_id for request_id in books.accepted if request_id not in books.booked]
    in_flight = sorted(one for one in missing if books.accepted[one] + OVERDUE_MS > books.now_ms)
    return Report(
        accepted=len(books.accepted),
        in_flight=len(in_flight),
        oldest_in_flight=[str(request_id) for request_id in in_flight[:MOST_NAMED]],
        outcomes=dict(sorted(outcomes.items())),
        unreadable=books.unreadable,
        held_microdollars=sum(books.held.get(request_id, 0) for request_id in missing),
        reserved_microdollars=sum(
            booked.reserved_microdollars or 0 for booked in books.booked.values() if booked.cost_microdollars
        ),
        charged_microdollars=sum(books.charged.get(request_id, 0) for request_id in books.booked),
        revenue_microdollars=books.revenue,
        repeated=books.repeated,
        overruns=[_overrun(*one) for one in sorted(_overruns(books)) if one[0] in books.announced],
        differences=list(_differences(books, missing)),
    )


def _differences(books: Books, missing: list[UUID]) -> Iterator[str]:
    for request_id in missing:
        if books.accepted[request_id] + OVERDUE_MS <= books.now_ms:
            yield f"request {request_id} was accepted, is past its deadline, and has no entry"
    for request_id, booked in books.booked.items():
        if request_id not in books.accepted:
            yield f"request {request_id} has an entry, and is not on the log"
        if booked.entry_microdollars != booked.cost_microdollars:
            yield (
                f"request {request_id} cost {booked.cost_microdollars} microdollars, and its entry in the journal says "
                f"{booked.entry_microdollars}"
            )
        if request_id in books.unpublished:
            continue
        if request_id not in books.charged:
            yield f"request {request_id} has an entry, and no charge on the topic"
        elif books.charged[request_id] != booked.cost_microdollars:
            yield (
                f"request {request_id} cost {booked.cost_microdollars} microdollars, and its charge on the topic says "
                f"{books.charged[request_id]}"
            )
    for one in _overruns(books):
        if one[0] not in books.announced:
            yield f"{_overrun(*one)}, and billing was not notified"
    for charge_id in sorted(books.contradicted):
        yield f"charge {charge_id} was published with different amounts"
    for owner, (balance, sum_of_entries) in sorted(books.balances.items()):
        yield f"{owner} has a balance of {balance} microdollars, and entries of {sum_of_entries}"
    if books.revenue != books.usage_total:
        yield f"revenue is {books.revenue} microdollars, and usage {books.usage_total}"
    if books.rolled_up != books.usage_total:
        yield f"the daily roll-ups say {books.rolled_up} microdollars, and the usage under them {books.usage_total}"


def _overruns(books: Books) -> Iterator[tuple[UUID, int, int]]:
    """Requests that cost more than was held: what they cost, and what was held."""
    for request_id, booked in books.booked.items():
        if booked.reserved_microdollars is not None and booked.cost_microdollars > booked.reserved_microdollars:
            yield request_id, booked.cost_microdollars, booked.reserved_microdollars


def _overrun(request_id: UUID, cost: int, held: int) -> str:
    return f"request {request_id} cost {cost} microdollars, and {held} were held for it"
