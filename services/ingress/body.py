"""The reading of requests' bodies: bounded in bytes, in time without a byte, in whole, and altogether."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType

from starlette.types import Receive

from libs.config.gateway import Limits, Timeouts
from libs.runtime.budget import Budget
from services.ingress.core.errors import TooLarge, TooSlow, Unauthorized, Unavailable

OWNERS_SHARE = 4
"""Of all that may be held, one owner's part is a quarter."""
ANONYMOUS_SHARE = 16
"""Of all that may be held, the part of all who sent no key."""


class ClientGone(Exception):
    """The connection ended before the body did."""


class Body:
    """One body. Leave it as soon as its bytes are not needed: they count until then."""

    def __init__(self, budget: Budget, owner: str) -> None:
        self.data = b""
        self._budget = budget
        self._owner = owner
        self._held = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def grow(self, size: int) -> None:
        """Counts bytes that have come. Raises Unavailable where this ingress holds too many."""
        if not self._budget.take(self._owner, size):
            raise Unavailable("Too many bodies are on their way; try again in a moment.", retry_after_s=1)
        self._held += size

    def replace(self, data: bytes) -> None:
        """Puts other bytes in place of those that came. Raises as `grow` does."""
        if len(data) > self._held:
            self.grow(len(data) - self._held)
        self.data = data

    def release(self) -> None:
        """Gives the bytes back."""
        self.data = b""
        self._budget.give(self._owner, self._held)
        self._held = 0


class Bodies:
    """All bodies of one ingress that are on their way in, or not on the log yet."""

    def __init__(self, limits: Limits, of_one: Callable[[], Limits], timeouts: Timeouts) -> None:
        """
        Args:
            limits: of the process, from its start on.
            of_one: of a body, now; no more than fits into those of the process.
        """
        self._of_one = of_one
        self._timeouts = timeouts
        total = max(limits.bodies_bytes, 2 * limits.body_bytes)
        self._known = Budget(total, max(total // OWNERS_SHARE, limits.body_bytes))
        anonymous = max(total // ANONYMOUS_SHARE, 2 * limits.anonymous_body_bytes)
        self._anonymous = Budget(anonymous, max(anonymous // OWNERS_SHARE, limits.anonymous_body_bytes))

    async def read(self, headers: Mapping[str, str], receive: Receive, *, owner: str | None, address: str) -> Body:
        """Reads a body to its end.

        Args:
            owner: by whom bytes are counted; None: an anonymous client, whose body must be far smaller.
            address: by which bytes are counted where there is no owner.

        Raises:
            TooLarge: it is larger than it may be, or says that it will be.
            Unauthorized: the same, without a key.
            TooSlow: no byte came for a while, or the end did not come in time.
            Unavailable: this ingress, or this owner, has too many bytes on their way.
            ClientGone: the connection ended.
        """
        body = Body(self._anonymous, address) if owner is None else Body(self._known, owner)
        limits = self._of_one()
        most = limits.anonymous_body_bytes if owner is None else limits.body_bytes
        try:
            body.data = await self._read(body, _announced(headers), receive, most, anonymous=owner is None)
        except TimeoutError:
            body.release()
            raise TooSlow("The body did not come in time; send it again.") from None
        except BaseException:
            body.release()
            raise
        return body

    async def _read(self, body: Body, announced: int, receive: Receive, most: int, *, anonymous: bool) -> bytes:
        loop, data, idle_s = asyncio.get_running_loop(), bytearray(), self._timeouts.body_idle_s
        _check_size(announced, most, anonymous=anonymous)
        due_s = loop.time() + self._timeouts.body_s
        async with asyncio.timeout_at(min(due_s, loop.time() + idle_s)) as patience:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                piece = message.get("body", b"")
                if piece:
                    _check_size(len(data) + len(piece), most, anonymous=anonymous)
                    body.grow(len(piece))
                    if not data and not message.get("more_body"):
                        return bytes(piece)
                    patience.reschedule(min(due_s, loop.time() + idle_s))
                    data += piece
                if not message.get("more_body"):
                    return bytes(data)


def _announced(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _check_size(size: int, most: int, *, anonymous: bool) -> None:
    if size <= most:
        return
    if anonymous:
        raise Unauthorized(
            f"A body of more than {most} bytes needs an API key: send `Authorization: Bearer <api key>`."
        )
    raise TooLarge(f"The body is larger than {most} bytes.")
