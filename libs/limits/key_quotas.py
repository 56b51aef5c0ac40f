"""Which of the gateway's own keys have used up their quotas, as relays report it. Pure.

What is under way is not counted before it has ended, and is reported twice a second: a quota may be passed by as much.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from contracts.outcomes import KeyUse, ProviderKeyUsed
from libs.limits.catalog import METERS, Window

KEPT_MS = 32 * 24 * 3600 * 1000
MINUTE_MS = 60_000
_LONG = (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH)
_FIELDS = {"requests": "requests", "tokens": "tokens", "usd": "microdollars"}
"""Of `KeyUse`, by the name of a meter's quantity."""


class KeyQuotas:
    """The sums of all relays."""

    def __init__(self) -> None:
        self._hours: dict[str, ProviderKeyUsed] = {}
        """By state key, the oldest first."""
        self._sums: defaultdict[tuple[str, str], dict[Window, tuple[int, Counter[str]]]] = defaultdict(dict)
        """By provider and variable: of each window the newest that was used, by its beginning."""
        self._minutes: defaultdict[tuple[str, str], dict[str, ProviderKeyUsed]] = defaultdict(dict)
        """The newest of each relay."""

    def note(self, used: ProviderKeyUsed) -> None:
        """Takes a relay's report in; the same, or an older one, changes nothing."""
        before = self._hours.get(used.state_key)
        if before is not None and before.hour.requests >= used.hour.requests:
            return
        self._hours[used.state_key] = used
        key = used.provider_id, used.variable
        known = self._minutes[key].get(used.relay_id)
        if known is None or known.minute_at_ms <= used.minute_at_ms:
            self._minutes[key][used.relay_id] = used
        more = _fields(used.hour)
        more.subtract(_fields(before.hour) if before else {})
        for window in _LONG:
            start_ms = window.start_ms(used.hour_at_ms)
            newest_ms, sums = self._sums[key].get(window, (-1, Counter[str]()))
            if start_ms > newest_ms:
                newest_ms, sums = start_ms, Counter()
            if start_ms == newest_ms:
                sums.update(more)
                self._sums[key][window] = newest_ms, sums
        self._forget(used.hour_at_ms)

    def _forget(self, now_ms: int) -> None:
        while self._hours and next(iter(self._hours.values())).hour_at_ms < now_ms - KEPT_MS:
            gone = self._hours.pop(next(iter(self._hours)))
            minutes = self._minutes[gone.provider_id, gone.variable]
            if minutes.get(gone.relay_id) is gone:
                del minutes[gone.relay_id]

    def used(self, provider_id: str, variable: str, meter: str, now_ms: int) -> int:
        """What a meter says of a key now, in its own unit (money in microdollars)."""
        window, name = METERS[meter].window, _FIELDS[METERS[meter].quantity.name]
        key = provider_id, variable
        if window is None or key not in self._sums:
            return 0
        if window is Window.MINUTE:
            begun_ms = now_ms - now_ms % MINUTE_MS
            newest = (one for one in self._minutes[key].values() if one.minute_at_ms == begun_ms)
            return sum(_fields(one.minute)[name] for one in newest)
        start_ms, sums = self._sums[key].get(window, (-1, Counter[str]()))
        return sums[name] if start_ms == window.start_ms(now_ms) else 0

    def standing(
        self, quotas: Mapping[str, Mapping[str, Mapping[str, int]]], now_ms: int
    ) -> Iterator[tuple[tuple[str, str, str], int, int]]:
        """Provider, variable and meter of each quota, with what was used of it and what may be.

        Args:
            quotas: by provider, variable and meter.
        """
        for provider_id, keys in quotas.items():
            for variable, quota in keys.items():
                for meter, most in quota.items():
                    yield (provider_id, variable, meter), self.used(provider_id, variable, meter, now_ms), most

    def exhausted(self, provider_id: str, variable: str, quota: Mapping[str, int], now_ms: int) -> bool:
        """A key has used up one of its quotas."""
        return any(self.used(provider_id, variable, meter, now_ms) >= most for meter, most in quota.items())


def _fields(use: KeyUse) -> Counter[str]:
    return Counter(requests=use.requests, tokens=use.tokens, microdollars=use.microdollars)
