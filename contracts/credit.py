"""Prepaid credit: orders to change it (``billing.orders``), what became of them and what to do about a balance
(``billing.credit``), each owner's balance as of the newest ledger entry (``billing.balances``), and what members of
organizations have spent by day (``billing.spending``).

Owners are ``acct:<id>`` or ``org:<id>``, as `contracts.requests.Caller.owner` has them. Money is in microdollars.
"""

from datetime import date
from typing import Annotated

from pydantic import Field

from .record import EpochMs, Record, RequestId, StateRecord
from .word import Word

EntryId = RequestId
"""A UUIDv7, like a request's: entries of both kinds sort by time."""
Positive = Annotated[int, Field(gt=0)]


class CreditKind(Word):
    """Why credit changes without a request."""

    TOP_UP = "top_up"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


class CreditOrdered(Record):
    """``billing.orders.v1``: enter this in the ledger. The same ``entry_id`` again changes nothing."""

    entry_id: EntryId
    owner: str
    kind: CreditKind
    amount_microdollars: int
    """Added to the owner's credit; below 0 taken from it."""
    reference: str = ""
    """Of the payment, or the reason, in the operator's words."""
    ordered_by: str
    ordered_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.entry_id

    @property
    def event_id(self) -> str:
        return self.entry_id


class CreditPosted(Record):
    """``billing.credit.v1``: an order is in the ledger. At least once; dedupe by ``entry_id``."""

    entry_id: EntryId
    owner: str
    kind: CreditKind
    amount_microdollars: int
    balance_microdollars: int
    reference: str = ""
    posted_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.entry_id

    @property
    def event_id(self) -> str:
        return self.entry_id


class BalanceLow(Record):
    """``billing.credit.v1``: a balance fell below its owner's alert; published once, until it has risen again."""

    owner: str
    balance_microdollars: int
    balance_version: Annotated[int, Field(ge=0)] = 0
    """Of `BalanceChanged`, which is on a topic of its own."""
    below_microdollars: int
    noticed_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.owner

    @property
    def event_id(self) -> str:
        return f"{self.owner}/BalanceLow/{self.noticed_at_ms}"


class TopUpDue(Record):
    """``billing.credit.v1``: a balance fell below its owner's auto top-up threshold: charge their card, then order.

    Published once, until the balance has risen again.
    """

    owner: str
    balance_microdollars: int
    below_microdollars: int
    top_up_microdollars: Positive
    noticed_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.owner

    @property
    def event_id(self) -> str:
        return f"{self.owner}/TopUpDue/{self.noticed_at_ms}"


class ReservationExceeded(Record):
    """``billing.credit.v1``: a provider billed more for a request than was held for it. The balance bears it.

    Below 0 the owner's paid requests are refused until credit has been added.
    """

    request_id: RequestId
    owner: str
    provider_id: str | None = None
    model: str
    reserved_microdollars: int
    cost_microdollars: int
    balance_microdollars: int | None = None
    """After the transaction that entered the charge."""
    noticed_at_ms: EpochMs

    @property
    def event_subject(self) -> str:
        return self.owner

    @property
    def event_id(self) -> str:
        return f"{self.request_id}/ReservationExceeded"


class BalanceChanged(StateRecord):
    """``billing.balances.v1``, compacted: a balance, and the number of its change."""

    owner: str
    balance_microdollars: int
    version: Annotated[int, Field(ge=0)]
    """Of two records of one owner the one of the higher version is newer, in whatever order they come."""

    @property
    def state_key(self) -> str:
        return self.owner

    @property
    def event_id(self) -> str:
        return f"{self.owner}/{self.version}"


class MemberSpent(StateRecord):
    """``billing.spending.v1``, compacted: what one member has spent of an organization's credit on one day, in all.

    A day's sum only grows: of two records of one day the higher is newer. They lie in their owner's partition. Each day
    has a key of its own, since requests of yesterday still settle when today's have begun; old days go by themselves.
    """

    owner: str
    account_id: str
    day: date
    """In UTC, by the time of acceptance."""
    spent_microdollars: Annotated[int, Field(ge=0)]

    @property
    def state_key(self) -> str:
        return f"{self.owner}/{self.account_id}/{self.day}"

    @property
    def event_id(self) -> str:
        return f"{self.state_key}/{self.spent_microdollars}"


class CreditSettingsSet(StateRecord):
    """``control.credit-settings.v1``: when an owner wants to be alerted; None is never."""

    owner: str
    alert_below_microdollars: int | None = None
    top_up_below_microdollars: int | None = None
    top_up_microdollars: Positive | None = None

    @property
    def state_key(self) -> str:
        return self.owner


CreditEvent = CreditPosted | BalanceLow | TopUpDue | ReservationExceeded
