"""What the limiter has counted, by owner: read from ``quota.meters.v1``."""

from collections.abc import Mapping

from contracts import topics
from contracts.limits import MeterSaved
from libs.bus.views import View

_NOTHING: Mapping[str, MeterSaved] = {}


class Meters:
    """A view, by owner and scope. Limits of a minute and of what is in flight are not in it: they are never saved."""

    def __init__(self) -> None:
        self.view = View(topics.METERS, on_change=self._changed)
        self._by_owner: dict[str, dict[str, MeterSaved]] = {}

    def of(self, owner: str) -> Mapping[str, MeterSaved]:
        """By scope, as the limiter writes it: ``account``, ``team core``, ``member acct_…``."""
        return self._by_owner.get(owner, _NOTHING)

    @property
    def by_owner(self) -> Mapping[str, Mapping[str, MeterSaved]]:
        """Of everybody."""
        return self._by_owner

    def _changed(self, key: str, saved: MeterSaved | None) -> None:
        owner, _, scope = key.partition("/")
        if saved is not None:
            self._by_owner.setdefault(owner, {})[scope] = saved
            return
        scopes = self._by_owner.get(owner, {})
        scopes.pop(scope, None)
        if not scopes:
            self._by_owner.pop(owner, None)
