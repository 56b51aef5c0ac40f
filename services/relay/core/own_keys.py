"""What became of users' own keys: published once a minute, and whenever the result changes."""

from contracts.control import CredentialUsed
from contracts.routes import RoutePlanned
from libs.sealing.credentials import credential_id
from services.relay.core.ending import Ending

EVERY_MS = 60_000
MOST_KNOWN = 50_000


class OwnKeyUses:
    """Remembers what was published. The time is an argument; nothing is sent here."""

    def __init__(self) -> None:
        self._published: dict[str, CredentialUsed] = {}

    def used(self, route: RoutePlanned, ending: Ending, now_ms: int) -> CredentialUsed | None:
        """What is to be published of this attempt, if it is news."""
        target = route.targets[0]
        if not target.grant.byok:
            return None
        name = credential_id(route.caller.owner, target.provider_id)
        error = ending.refusal.message if ending.refusal else None
        known = self._published.get(name)
        if known and known.error == error and now_ms - known.used_at_ms < EVERY_MS:
            return None
        if len(self._published) >= MOST_KNOWN:
            self._published.clear()
        record = self._published[name] = CredentialUsed(credential_id=name, used_at_ms=now_ms, error=error)
        return record
