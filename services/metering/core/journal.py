"""Which account an entry debits and which it credits. Pure.

Accounts: ``credit:<owner>`` (what we owe an owner in service), ``revenue``, ``cash`` (what owners paid us),
``adjustments``, and ``nobody``, who pays for nothing.
"""

from dataclasses import dataclass

from contracts.charges import ChargePosted
from contracts.credit import CreditKind, CreditOrdered
from contracts.requests import Caller

ANONYMOUS = "anonymous"
"""The owner of usage that no account stands behind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A movement of ``amount_microdollars`` from one account to another: balanced because it cannot be otherwise."""

    entry_id: str
    kind: str
    debit_account: str
    credit_account: str
    amount_microdollars: int


def owner_of(caller: Caller) -> str:
    """Whose credit a request takes."""
    return caller.owner if caller.account_id or caller.organization_id else ANONYMOUS


def charged(charge: ChargePosted, owner: str) -> Entry:
    """The entry of a request, of 0 microdollars where it cost nothing."""
    debit = "nobody" if owner == ANONYMOUS else f"credit:{owner}"
    return Entry(charge.charge_id, "charge", debit, "revenue", charge.cost_microdollars)


def ordered(order: CreditOrdered) -> Entry:
    """The entry of an order.

    Raises:
        ValueError: an amount of 0, or of a sign that its kind does not have.
    """
    amount, credit = order.amount_microdollars, f"credit:{order.owner}"
    if (
        amount == 0
        or (order.kind is CreditKind.TOP_UP and amount < 0)
        or (order.kind is CreditKind.REFUND and amount > 0)
    ):
        raise ValueError(f"a {order.kind.value} of {amount} microdollars is none")
    other = "adjustments" if order.kind is CreditKind.ADJUSTMENT else "cash"
    debit, credited = (other, credit) if amount > 0 else (credit, other)
    return Entry(order.entry_id, order.kind.value, debit, credited, abs(amount))
