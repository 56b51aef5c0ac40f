"""What the gateway's own keys are used for, where they have quotas. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.outcomes import KeyUse, ProviderKeyUsed

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

_Key = tuple[str, str]
"""Provider, and environment variable."""


@dataclass(slots=True)
class _Hour:
    at_ms: int
    hour: KeyUse
    minute_at_ms: int
    minute: KeyUse


class KeyUses:
    """The sums of one relay."""

    def __init__(self, relay_id: str) -> None:
        self._relay_id = relay_id
        self._hours: dict[_Key, _Hour] = {}
        self._changed: dict[str, ProviderKeyUsed] = {}
        """By state key: the newest that was not published."""

    def note(self, provider_id: str, variable: str, use: KeyUse, now_ms: int) -> None:
        """A request has ended."""
        hour_at_ms, minute_at_ms = now_ms - now_ms % HOUR_MS, now_ms - now_ms % MINUTE_MS
        found = self._hours.get((provider_id, variable))
        if found is None or found.at_ms != hour_at_ms:
            found = self._hours[provider_id, variable] = _Hour(hour_at_ms, KeyUse(), minute_at_ms, KeyUse())
        found.hour = added(found.hour, use)
        found.minute = added(found.minute, use) if found.minute_at_ms == minute_at_ms else use
        found.minute_at_ms = minute_at_ms
        record = ProviderKeyUsed(
            relay_id=self._relay_id,
            provider_id=provider_id,
            variable=variable,
            hour_at_ms=hour_at_ms,
            hour=found.hour,
            minute_at_ms=minute_at_ms,
            minute=found.minute,
        )
        self._changed[record.state_key] = record

    def take(self) -> Iterator[ProviderKeyUsed]:
        """What has changed since the last time."""
        changed, self._changed = self._changed, {}
        yield from changed.values()


def added(one: KeyUse, other: KeyUse) -> KeyUse:
    """The sum."""
    return KeyUse(
        requests=one.requests + other.requests,
        tokens=one.tokens + other.tokens,
        microdollars=one.microdollars + other.microdollars,
    )
