"""The door of one ingress: how many requests are in the gateway at once, and whose."""

import asyncio
from enum import Enum
from types import TracebackType

from libs.config.gateway import Overload
from libs.telemetry.instruments import PLACES, SHEDS
from libs.telemetry.metrics import Labels
from services.ingress.core.coming import Coming
from services.ingress.core.concurrency import AdaptiveLimit
from services.ingress.core.errors import IngressError, RateLimited, Unavailable
from services.ingress.core.shares import Place, Shares, State
from services.ingress.turnstile import Turnstile

WAIT_S = 0.03
"""For a place; who is refused is to know it within 50 ms."""
AGAIN_S = 1
COMES_WITHIN_S = 0.25
"""Whoever was let through by the gate is at the door."""
PATIENCE = 4
"""Times the delay that is tolerated."""
LEAST_PATIENCE_S = 1.0
AT_A_TIME = 8
"""So many come in in one turn of the loop; each is 0.4 ms of work."""
QUIET = 0.5
"""Of the places: as long as fewer are taken, batches go on."""
ANONYMOUS = "anonymous"
"""All who sent no key share one share."""


class Shed(Enum):
    """Who is refused for want of a place."""

    ALONE = "alone"
    """Nobody else is here."""
    SHARED = "shared"

    def error(self) -> IngressError:
        """A new one each time: an exception that is raised again keeps the frames of each time, and all that is in
        them (94 MiB became 446 in a minute of overload)."""
        if self is Shed.ALONE:
            return Unavailable("The gateway is busy; try again in a moment.", retry_after_s=AGAIN_S)
        return RateLimited(
            "The gateway is busy, and others wait, too; try again in a moment, or send fewer at once.",
            retry_after_s=AGAIN_S,
        )


class Stay:
    """One request's stay in the gateway. It ends at the first byte of an answer, or when it is left.

    Who is still there after `PATIENCE` waits for its client or for its provider, which is not
    the gateway's work, and does not take a place for that.
    """

    def __init__(self, door: "Door", place: Place) -> None:
        self._door = door
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._patience = self._loop.call_later(door.patience_s, door.release, place)
        self._published_s: float | None = None

    def __enter__(self) -> "Stay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def published(self) -> None:
        """The request goes onto the log now."""
        self._published_s = self._loop.time()

    def answered(self, elsewhere_ms: int) -> None:
        """The first of its answer is here.

        Args:
            elsewhere_ms: for how much of that time a provider was waited for, or others of its owner to settle.
        """
        if self._published_s is not None:
            self._door.sample(self._loop.time() - self._published_s - elsewhere_ms / 1000)
        self._leave()

    def _leave(self) -> None:
        self._published_s = None
        self._patience.cancel()
        self._door.release(self._place)


class Door:
    """Lets requests in as `AdaptiveLimit` and `Shares` say."""

    def __init__(self, overload: Overload) -> None:
        self._limit = AdaptiveLimit()
        self._shares = Shares(lambda: self._limit.value, lambda owner: overload.weights.get(owner, 1.0))
        self._coming = Coming()
        self._turnstile = Turnstile(AT_A_TIME)
        self._waiting: dict[Place, asyncio.Future[None]] = {}
        PLACES.observe("door", self._places)

    def _places(self) -> list[tuple[float, Labels]]:
        shares = self._shares
        return [(shares.inside, ("inside",)), (shares.waiting, ("waiting",)), (self._limit.value, ("limit",))]

    @property
    def patience_s(self) -> float:
        """How long a request takes a place at the most."""
        return max(LEAST_PATIENCE_S, PATIENCE * (self._limit.tolerated_s or 0))

    @property
    def places(self) -> int:
        """How many requests may be in the gateway now, but for those in spare places."""
        return self._limit.value

    @property
    def full(self) -> bool:
        """Somebody may be refused."""
        return self._shares.waiting > 0 or self._shares.inside + self._coming.total >= self._limit.value

    @property
    def quiet(self) -> bool:
        """There is room for what can wait."""
        return self._shares.waiting == 0 and self._shares.inside < QUIET * self._limit.value

    def knock(self, owner: str | None) -> Shed | None:
        """Somebody is on the way: how who would not come in is refused at once; None for who may `enter` now."""
        name, now_s = owner or ANONYMOUS, asyncio.get_running_loop().time()
        self._coming.forget(now_s - COMES_WITHIN_S)
        coming = self._coming.total
        if self.full and self._shares.refuses(name, coming=coming, of_owner=self._coming.of(name)):
            return self._shed(name)
        self._coming.add(name, now_s)
        return None

    async def enter(self, owner: str | None) -> Stay:
        """Waits for a place, for a moment.

        Raises:
            Unavailable: there is none.
            RateLimited: there is none, and others want one, too.
        """
        loop, name = asyncio.get_running_loop(), owner or ANONYMOUS
        self._coming.came(name)
        place = self._shares.arrive(name, loop.time())
        if place.state is State.WAITING:
            waiting = self._waiting[place] = loop.create_future()
            overdue = loop.call_later(WAIT_S, self._expire, place)
            try:
                await waiting
            except asyncio.CancelledError:
                self.release(place)
                raise
            finally:
                overdue.cancel()
                del self._waiting[place]
        if place.state is State.REFUSED:
            raise self._shed(name).error()
        try:
            await self._turnstile.enter()
        except asyncio.CancelledError:
            self.release(place)
            raise
        return Stay(self, place)

    def sample(self, delay_s: float) -> None:
        """A request took so long in the gateway, without its provider."""
        self._limit.sample(delay_s, self._shares.inside, asyncio.get_running_loop().time())

    def release(self, place: Place) -> None:
        """Frees a place; whoever waits for one comes in."""
        for admitted in self._shares.release(place):
            self._wake(admitted)

    def _expire(self, place: Place) -> None:
        self._shares.release(place, State.REFUSED)
        self._wake(place)

    def _wake(self, place: Place) -> None:
        waiting = self._waiting.get(place)
        if waiting and not waiting.done():
            waiting.set_result(None)

    def _shed(self, owner: str) -> Shed:
        shed = Shed.ALONE if self._shares.alone(owner) else Shed.SHARED
        SHEDS.add(1, shed.value)
        return shed
