"""``billing.charges.v1``: the contract with billing. At least once; dedupe by ``charge_id``. See docs/billing.md."""

from typing import Annotated

from pydantic import Field

from .credit import BalanceChanged, MemberSpent
from .labels import Labels
from .quantities import Quantity
from .record import EpochMs, Record, RequestId, Subject, empty
from .replies import Outcome
from .usage import EstimatedFrom, TokenUsage


class ChargePosted(Record):
    """One ledger entry. ``cost_microdollars`` is 0 for free models, BYOK, and whatever used nothing."""

    charge_id: RequestId
    """The request's ID: a request has one charge."""
    subject: Subject
    account_id: str | None = None
    organization_id: str | None = None
    key_fingerprint: str | None = None
    model: str
    provider_id: str | None = None
    outcome: Outcome
    tokens: TokenUsage
    quantities: list[Quantity] = empty(list)
    """Of other units than tokens."""
    estimated: bool
    estimated_from: EstimatedFrom | None = None
    """How the tokens were estimated; see `contracts.usage`."""
    byok: bool
    cost_microdollars: Annotated[int, Field(ge=0)]
    catalog_version: Annotated[int, Field(ge=0)] = 0
    """That the request was accepted under; 0 only of charges of tests and of other software."""
    price_version: str
    accepted_at_ms: EpochMs = 0
    labels: Labels | None = None
    """What the client named the request by: its customer, its tags."""
    posted_at_ms: EpochMs
    balance: BalanceChanged | None = None
    """Of who paid, after the transaction that entered this charge; None where nobody paid."""
    spent: MemberSpent | None = None
    """By the member on the day of this request, likewise; only in an organization's context."""

    @property
    def event_subject(self) -> str:
        return self.charge_id

    @property
    def event_id(self) -> str:
        return self.charge_id
