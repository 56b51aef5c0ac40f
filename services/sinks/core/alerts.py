"""What is worth an alert, when it is repeated, and when it is over.

An alert is raised at one threshold and over at another, so that what wavers is one alert: a balance is low until it is
10 % above its threshold, a provider is down until less than half of the share of calls fails that raised it, a limit is
reached until it has refused nobody for a while.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from contracts.alerts import AlertChanged, AlertKind
from libs.config.sinks import AlertRules
from libs.pricing.usd import parse_usd

WINDOW_MS = 60_000
MOST_ALERTS = 10_000
"""That are raised at a time; what would be one too many is not."""
MOST_BALANCES = 100_000
"""That are remembered; those that have not changed for the longest time make way."""
LETTERS: Literal["dead-letters"] = "dead-letters"


class _Balance(NamedTuple):
    """See `contracts.credit.BalanceChanged`."""

    version: int
    amount: int


class _Notice(NamedTuple):
    """See `contracts.credit.BalanceLow`."""

    version: int
    balance: int
    below: int


class Alerts:
    """The alerts of some owners and providers. Methods return what is to be published."""

    def __init__(self, rules: AlertRules) -> None:
        self._rules = rules
        self._below = parse_usd(rules.balance_below_usd) if rules.balance_below_usd else None
        self._raised: dict[str, AlertChanged] = {}
        self._refused_ms: dict[str, int] = {}
        self._calls: dict[str, deque[tuple[int, int, int]]] = {}
        self._balances: OrderedDict[str, _Balance] = OrderedDict()
        """The newest of each owner, as far as they changed lately."""
        self._notices: dict[str, _Notice] = {}
        """By owner, the newest that a balance is low, while the alert is raised."""

    def load(self, alert: AlertChanged) -> None:
        """Takes in the newest notification of an alert, as the log has it."""
        if not alert.raised:
            self._raised.pop(alert.state_key, None)
            return
        self._raised[alert.state_key] = alert
        if alert.kind == "limit-reached":
            self._refused_ms[alert.about] = alert.at_ms

    def balance_low(self, owner: str, balance: int, below: int, now_ms: int, *, version: int) -> list[AlertChanged]:
        """A balance is below a threshold of its owner's own. Amounts in microdollars.

        Balances come on another topic, so that of what is newer may have been read before.

        Args:
            version: of the balance.
        """
        newest = self._balances.get(owner)
        if newest is not None and newest.version > version:
            return [] if newest.amount >= below else self._low(owner, newest.amount, below, now_ms)
        self._notices[owner] = _Notice(version, balance, below)
        return self._low(owner, balance, below, now_ms)

    def balance(self, owner: str, balance: int, now_ms: int, *, version: int) -> list[AlertChanged]:
        """A balance, whatever it is now."""
        newest = self._balances.get(owner)
        if newest is not None and newest.version > version:
            return []
        self._balances[owner] = _Balance(version, balance)
        self._balances.move_to_end(owner)
        if len(self._balances) > MOST_BALANCES:
            self._balances.popitem(last=False)
        return self._at(owner, balance, now_ms, version)

    def _at(self, owner: str, balance: int, now_ms: int, version: int) -> list[AlertChanged]:
        raised = self._raised.get(f"balance-low/{owner}")
        if raised is None:
            if self._below is not None and balance < self._below:
                return self._low(owner, balance, self._below, now_ms)
            return []
        below = raised.below_microdollars or 0
        if balance < below + abs(below) // 10:
            return []
        over = self._end(raised, f"the balance of {owner} is {_usd(balance)} USD again", now_ms)
        notice = self._notices.pop(owner, None)
        if notice is None or notice.version <= version:
            return over
        # It has fallen again since, and who reads it was notified of the first time only.
        return over + self._low(owner, notice.balance, notice.below, max(now_ms, raised.since_ms + 1))

    def _low(self, owner: str, balance: int, below: int, now_ms: int) -> list[AlertChanged]:
        text = f"the balance of {owner} is {_usd(balance)} USD, below {_usd(below)}"
        return self._raise("balance-low", owner, text, now_ms, below=below)

    def refused(self, owner: str, status: int, now_ms: int) -> list[AlertChanged]:
        """A request was refused for a limit (429) or for credit (402)."""
        if not owner.startswith(("org:", "acct:")):
            return []
        what = "credit does not cover its requests" if status == 402 else "requests are beyond a limit"
        found = self._raise("limit-reached", owner, f"{owner}: {what} ({status})", now_ms)
        if f"limit-reached/{owner}" in self._raised:
            self._refused_ms[owner] = max(now_ms, self._refused_ms.get(owner, 0))
        return found

    def calls(self, provider: str, answered: int, failed: int, at_ms: int) -> list[AlertChanged]:
        """What a relay counted of a provider. Reports that are older than a minute say nothing of now."""
        window = self._calls.setdefault(provider, deque())
        window.append((at_ms, answered, failed))
        newest_ms = max(at for at, _, _ in window)
        while window and window[0][0] <= newest_ms - WINDOW_MS:
            window.popleft()
        bad = sum(one for _, _, one in window)
        everything = bad + sum(one for _, one, _ in window)
        share = bad / everything if everything else 0.0
        raised = self._raised.get(f"provider-down/{provider}")
        if raised is None:
            if bad >= self._rules.provider_failures and share >= self._rules.provider_ratio:
                text = f"of {everything} calls of {provider} in a minute {bad} failed"
                return self._raise("provider-down", provider, text, at_ms)
        elif everything > bad and share < self._rules.provider_ratio / 2:
            return self._end(raised, f"{provider} answers again", at_ms)
        return []

    def letters(self, unresolved: int, now_ms: int) -> list[AlertChanged]:
        """So many dead letters wait for somebody."""
        raised = self._raised.get(f"{LETTERS}/{LETTERS}")
        if raised is None and unresolved >= self._rules.dead_letters:
            wait = "dead letter waits" if unresolved == 1 else "dead letters wait"
            text = f"{unresolved:,} {wait}: ./sluice dlq list --count"
            return self._raise(LETTERS, LETTERS, text, now_ms)
        if raised is not None and unresolved == 0:
            return self._end(raised, "no dead letter waits", now_ms)
        return []

    def tick(self, now_ms: int) -> list[AlertChanged]:
        """What is repeated, and limits that are not reached any more."""
        return list(self._due(now_ms))

    def _due(self, now_ms: int) -> Iterator[AlertChanged]:
        for raised in list(self._raised.values()):
            quiet_ms = now_ms - self._refused_ms.get(raised.about, raised.at_ms)
            if raised.kind == "limit-reached" and quiet_ms >= self._rules.quiet_s * 1000:
                text = f"{raised.about}: no request was refused for {self._rules.quiet_s} s"
                yield from self._end(raised, text, now_ms)
            elif now_ms - raised.at_ms >= self._rules.repeat_s * 1000:
                again = raised.model_copy(update={"number": raised.number + 1, "at_ms": now_ms})
                self._raised[raised.state_key] = again
                yield again

    def _raise(
        self, kind: AlertKind, about: str, text: str, now_ms: int, *, below: int | None = None
    ) -> list[AlertChanged]:
        key = f"{kind}/{about}"
        if key in self._raised or len(self._raised) >= MOST_ALERTS:
            return []
        alert = AlertChanged(
            kind=kind,
            about=about,
            raised=True,
            since_ms=now_ms,
            number=1,
            at_ms=now_ms,
            text=text[:300],
            below_microdollars=below,
        )
        self._raised[key] = alert
        return [alert]

    def _end(self, raised: AlertChanged, text: str, now_ms: int) -> list[AlertChanged]:
        del self._raised[raised.state_key]
        self._refused_ms.pop(raised.about, None)
        changes = {"raised": False, "number": raised.number + 1, "at_ms": now_ms, "text": text[:300]}
        return [raised.model_copy(update=changes)]


def _usd(amount: int) -> str:
    return f"{amount / 1_000_000:.2f}"
