"""Whom a request turns to, one after the other, and when once more. Pure: time and randomness come in."""

from contracts.record import Refusal
from contracts.routes import RoutePlanned, Target
from services.relay.core.falling_back import after
from services.relay.core.retrying import again_s


class Turns:
    """The targets of one route, round after round."""

    def __init__(self, route: RoutePlanned) -> None:
        self._route = route
        self._left = list(route.targets)
        self._rounds = 1

    def next(self) -> Target:
        """The one whose turn it is. There is one at first, and wherever `failed` says so."""
        return self._left.pop(0)

    def failed(self, target: Target, refusal: Refusal, *, drawn: float, left_s: float) -> float | None:
        """Seconds until it is the next one's turn; None: nobody is asked any more. See `again_s`."""
        self._left = after(refusal, target, self._left)
        if self._left:
            return 0.0
        wait_s = again_s(self._route, refusal, rounds=self._rounds, drawn=drawn, left_s=left_s)
        if wait_s is not None:
            self._left, self._rounds = list(self._route.targets), self._rounds + 1
        return wait_s
