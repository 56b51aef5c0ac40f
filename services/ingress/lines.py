"""One line of a batch through the gateway, as if a client had sent it with an ``Idempotency-Key``."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contracts.batches import BatchOrdered
from contracts.record import JSON
from libs.sealing.kept import ClientKey
from services.ingress.authentication import Authenticator
from services.ingress.completions import Completions
from services.ingress.core.answers import error_body
from services.ingress.core.errors import IngressError
from services.ingress.core.lines import Line, Reason, answered, not_answered
from services.ingress.core.repeating import BUSY, again_after_s
from services.ingress.door import Door
from services.ingress.visitors import Visitor

LOOK_AGAIN_S = 0.2
NOT_RUN = Reason("not_run", "This line was not run.")


@dataclass(slots=True)
class Collected:
    """An answer, as an application sends it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False

    async def send(self, message: Any) -> None:
        """An ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.whole = not message.get("more_body", False)


@dataclass(frozen=True, slots=True)
class Done:
    """A line, and its answer as a line of output or errors."""

    status: int
    content: bytes = field(repr=False)

    @property
    def failed(self) -> bool:
        """It belongs to the errors."""
        return not 200 <= self.status < 300


class Lines:
    """Sends lines when the gateway has little else to do."""

    def __init__(self, completions: Completions, door: Door, authenticator: Authenticator, at_once: int) -> None:
        self._completions = completions
        self._door = door
        self._authenticator = authenticator
        self._places = asyncio.Semaphore(at_once)

    async def run(
        self,
        ordered: BatchOrdered,
        number: int,
        line: Line,
        stopped: Callable[[], Reason | None],
        patient: Callable[[], bool],
    ) -> Done:
        """Runs a line to its end. However often this is called with it, it is run once, and charged once.

        Args:
            stopped: why a line that waits is not sent any more.
            patient: it may wait until its provider runs it for less.

        Raises:
            Unauthorized, Forbidden: whoever made the batch may not ask any more.
        """
        key = ClientKey.derive(ordered.batch_id, ordered.caller.owner, f"line {number}")
        name = line_id(ordered, number)
        tries = faults = 0
        while True:
            found = await self._send(ordered, key, line, stopped, patient)
            if found is None:
                return Done(408, not_answered(name, line.custom_id, stopped() or NOT_RUN))
            tries, faults = tries + 1, faults + (found.status not in BUSY)
            wait_s = again_after_s(found.status, tries, faults, _seconds(found.headers.get("retry-after")))
            if wait_s is None or await _paused(wait_s, stopped):
                request_id = found.headers.get("x-request-id")
                content = answered(name, line.custom_id, found.status, request_id, bytes(found.body))
                return Done(found.status, content)

    async def _send(
        self,
        ordered: BatchOrdered,
        key: ClientKey,
        line: Line,
        stopped: Callable[[], Reason | None],
        patient: Callable[[], bool],
    ) -> Collected | None:
        async with self._places:
            while not self._door.quiet and stopped() is None:
                await asyncio.sleep(LOOK_AGAIN_S)
            if stopped() is not None:
                return None
            self._authenticator.still_vouched(ordered.caller, ordered.voucher)
            visitor = Visitor(
                {"content-type": JSON},
                ordered.caller,
                ordered.address,
                ordered.voucher,
                in_batch=True,
                patient=patient(),
            )
            body: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            body.put_nowait({"type": "http.request", "body": line.body})
            collected = Collected()
            try:
                await self._completions.run_once(ordered.surface, visitor, key, body.get, collected.send)
            except IngressError as error:
                again = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
                return Collected(error.status, again, bytearray(error_body(error.refusal, ordered.surface)), True)
            if not collected.whole:
                # What came is on the log, and comes again from its beginning.
                return Collected(503)
            return collected


def line_id(ordered: BatchOrdered, number: int) -> str:
    """What names a line's answer: the same each time."""
    return f"batch_req_{ordered.locator[:16]}_{number}"


async def _paused(for_s: float, stopped: Callable[[], Reason | None]) -> bool:
    """Waits; true at once where there is nothing to wait for any more."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + for_s
    while stopped() is None and loop.time() < until_s:
        await asyncio.sleep(min(LOOK_AGAIN_S, for_s))
    return stopped() is not None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None
