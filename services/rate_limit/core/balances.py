"""What the ledger has published of all owners, small enough for a million of them. Pure."""

from datetime import UTC, date, datetime

from contracts.credit import BalanceChanged, MemberSpent
from services.rate_limit.core.book import Book


def day_of(at_ms: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


class Balances:
    """Balances and members' spending, of owners who ask for something now and of those who do not."""

    def __init__(self) -> None:
        self._balances: dict[str, tuple[int, int]] = {}
        self._spent: dict[str, dict[tuple[str, date], int]] = {}

    def apply(self, record: BalanceChanged | MemberSpent) -> None:
        """Keeps what is newer than what is known."""
        if isinstance(record, BalanceChanged):
            known = self._balances.get(record.owner)
            if known is None or record.version > known[1]:
                self._balances[record.owner] = (record.balance_microdollars, record.version)
            return
        members, spender = self._spent.setdefault(record.owner, {}), (record.account_id, record.day)
        members[spender] = max(record.spent_microdollars, members.get(spender, 0))

    def give(self, owner: str, book: Book) -> None:
        """Hands an owner's book what is known."""
        known = self._balances.get(owner)
        if known:
            book.balance_is(*known)
        for (account_id, day), microdollars in self._spent.get(owner, {}).items():
            book.spent_is(account_id, day, microdollars)

    def forget(self, before: date) -> None:
        """Forgets what members spent on earlier days."""
        for owner, members in list(self._spent.items()):
            kept = {spender: spent for spender, spent in members.items() if spender[1] >= before}
            if kept:
                self._spent[owner] = kept
            else:
                del self._spent[owner]
