"""Which provider answers a task, so that its prompt cache is hit. Pure: requests and times in, an order out.

The order of providers changes with prices, latency and health. Whoever comes back within the hour is sent where it was
sent before, while that provider is well and the client has no order of its own. Each router remembers its own requests:
an owner's are all in one partition. What a restart forgets costs a cold cache.
"""

from collections import OrderedDict
from collections.abc import Sequence

from contracts.requests import RequestAccepted
from libs.breakers import Health, Standing
from libs.config.catalog import Offer

STAYS_MS = 3600 * 1000
"""As long as providers keep prompts at the most, but for who pays for more."""
MOST_TASKS = 50_000


class Sticky:
    """The provider of each task and model that was asked last."""

    def __init__(self, most: int = MOST_TASKS) -> None:
        self._most = most
        self._providers: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._providers)

    def ordered(self, offers: Sequence[Offer], request: RequestAccepted, health: Health, now_ms: int) -> list[Offer]:
        """The offers with the task's own first, if it is well."""
        found = list(offers)
        if request.task_id is None or request.provider_order or request.provider_sort:
            return found
        provider_id, at_ms = self._providers.get(self._key(request, request.task_id), ("", 0))
        if now_ms - at_ms >= STAYS_MS or health.standing(provider_id, now_ms) is not Standing.WELL:
            return found
        return sorted(found, key=lambda offer: offer.provider_id != provider_id)

    def note(self, request: RequestAccepted, provider_id: str, now_ms: int) -> None:
        """The provider that a request is sent to first."""
        if request.task_id is None:
            return
        key = self._key(request, request.task_id)
        self._providers[key] = provider_id, now_ms
        self._providers.move_to_end(key)
        if len(self._providers) > self._most:
            self._providers.popitem(last=False)

    def _key(self, request: RequestAccepted, task_id: str) -> tuple[str, str, str]:
        return request.caller.owner, task_id, request.model
