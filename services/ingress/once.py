"""Requests that are run once, however often they are sent: the claims of their keys, and who waits for which answer.

The log decides which request a key stands for (ADR 25). A claim counts whose request was run: one that was never
published, or that ended without costing anything, is superseded by whoever finds that out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiokafka.errors import KafkaError
from starlette.types import Receive

from contracts import topics
from contracts.clock import now_ms
from contracts.idempotency import KeyClaimed
from contracts.record import Lasting, ReplyAddress
from contracts.replies import Reply, ReplyEnded
from libs.bus.producer import settle
from libs.bus.service import Service
from libs.config.gateway import Limits
from libs.runtime.budget import Budget
from libs.sealing.kept import ClientKey
from libs.sealing.responses import answer_key_of, response_id_of
from services.ingress.again import Again
from services.ingress.attending import LEFT, attended
from services.ingress.body import Body, ClientGone
from services.ingress.core.background import How
from services.ingress.core.errors import NotFound, RateLimited, Unavailable, Unprocessable, log_away
from services.ingress.core.idempotency import Held, KeyClaims
from services.ingress.entrance import Admitted
from services.ingress.fold import Fold
from services.ingress.reading import GONE, Reading, Readings
from services.ingress.replies import RepliesReader

CLAIM_WITHIN_S = 3.0
SKEW_MS = 3_000
"""How far the clocks of two machines may be apart."""
MOST_ROUNDS = 8
"""Each has another request that ended without costing anything."""
EVERY_RECORD = 1_000_000_000
FIRST_WITHIN_S = 2.0
MOST_OF_OWNER = 256
"""Clients of an owner that are given an answer again, or wait for it, at a time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request with a key, before it is known whether it is run."""

    owner: str
    key: ClientKey
    fingerprint: str
    at: int
    """So many bytes of the answer are not wanted."""
    background: How | None = None
    """Of a response that is made there."""

    def response_id(self, held: Held) -> str:
        """Of such a response."""
        return response_id_of(self.key.responses, held.request_id)

    def seal(self, held: Held) -> bytes:
        """With which the answer is sealed."""
        return answer_key_of(self.response_id(held)) if self.background else self.key.seal


Accept = Callable[[], Awaitable[Admitted]]


class Once:
    """The keys of all owners as this ingress knows them, and its clients that have one."""

    def __init__(self, service: Service, readings: Readings, replies: RepliesReader, limits: Limits) -> None:
        self._service = service
        self._readings = readings
        self._replies = replies
        self._claims = KeyClaims(limits.idempotency_keys)
        self._log = Fold(service, topics.IDEMPOTENCY, self._claims.apply, self._claims.expire, what="idempotency keys")
        self.background = self._log.background
        self._readers = Budget(share=MOST_OF_OWNER)

    @property
    def reading(self) -> int:
        """Clients that are given an answer again, or wait for it."""
        return self._readers.held

    async def start(self) -> None:
        """Begins to follow claims, and returns once it has those of the last day."""
        await self._log.start()

    async def stop(self) -> None:
        """Ends following."""
        await self._log.stop()

    @asynccontextmanager
    async def settled(
        self, wanted: Wanted, body: Body, accept: Accept, receive: Receive
    ) -> AsyncIterator[Admitted | Again]:
        """The request itself, which is to be run now; or the answer to the one that was sent before.

        Args:
            body: is released where it is not needed.
            accept: makes the record of the request.

        Raises:
            Unprocessable: the key was sent with another body.
            NotFound: a part of an answer is wanted, and there is none.
            RateLimited: too many of the owner's clients wait already.
            Unavailable: the log cannot be read or written.
            ClientGone: the connection ended.
            IngressError: as `accept` does.
        """
        superseded: str | None = None
        try:
            for _ in range(MOST_ROUNDS):
                held = self._claims.find(wanted.owner, wanted.key.locator, now_ms())
                if held is None or held.request_id == superseded:
                    if wanted.at:
                        raise NotFound("This Idempotency-Key stands for no answer that one could go on with.")
                    admitted = await accept()
                    if await self._won(wanted, admitted, superseded):
                        yield admitted
                        return
                    admitted.step.end("superseded")
                    continue
                with self._open(held, wanted, receive) as reading:
                    first = await self._first(held, wanted, reading, body)
                    if first is not None:
                        body.release()
                        yield Again(held, reading, first)
                        return
                superseded = held.request_id
            raise Unavailable("Others use this Idempotency-Key right now; try again in a moment.", retry_after_s=1)
        finally:
            body.release()

    @contextmanager
    def _open(self, held: Held, wanted: Wanted, receive: Receive) -> Iterator[Reading]:
        if not self._readers.take(wanted.owner):
            raise RateLimited(
                "Too many of your requests wait for an answer that was asked for before.", retry_after_s=1
            )
        try:
            address = ReplyAddress(partition=held.partition, ingress_id="", lasting=Lasting.KEPT)
            reading = self._readings.read(held.request_id, address, held.offset, at=wanted.at, seal=wanted.seal(held))
            with attended(reading, receive), self._readings.opened(reading):
                yield reading
        finally:
            self._readers.give(wanted.owner)

    async def _first(self, held: Held, wanted: Wanted, reading: Reading, body: Body) -> Reply | None:
        """The first record of an answer. None: its request was not run, or cost nothing; the key is free."""
        mine = held.fingerprint == wanted.fingerprint
        live = begins = released = False
        begins_by_ms = held.begins_by_ms + SKEW_MS
        while True:
            # Of a request that never was, the log would be read to its end, which may take long.
            within_s = None if begins else max(0 if live else FIRST_WITHIN_S, (begins_by_ms - now_ms()) / 1000)
            try:
                async with asyncio.timeout(within_s):
                    first = await reading.next()
                # The log has no more of it now: whatever comes, this client has waited for it.
                live = live or first is None
            except TimeoutError:
                first = None
            if first is not None:
                break
            if not begins and now_ms() >= begins_by_ms:
                if not await self._was_published(held):
                    return None
                begins = True
                if live:
                    # Whatever comes is given to this client.
                    body.release()
                    released = True
            if not mine:
                raise _other_body()
        if isinstance(first, ReplyEnded):
            if not reading.answered:
                if first.refusal is LEFT:
                    raise ClientGone
                if first.refusal is GONE and not released:
                    return None
            elif first.unbilled and not live:
                return None
        if not mine:
            raise _other_body()
        return first

    async def _was_published(self, held: Held) -> bool:
        try:
            found = await self._service.find_about(
                topics.REQUESTS,
                held.subject,
                held.request_id,
                since_ms=held.claimed_at_ms - SKEW_MS,
                until_ms=held.begins_by_ms + SKEW_MS,
                most=EVERY_RECORD,
            )
        except KafkaError:
            raise log_away() from None
        return found is not None

    async def _won(self, wanted: Wanted, admitted: Admitted, superseded: str | None) -> bool:
        request = admitted.request
        claim = KeyClaimed(
            locator=wanted.key.locator,
            owner=wanted.owner,
            fingerprint=wanted.fingerprint,
            request_id=request.request_id,
            subject=request.subject,
            partition=request.reply_to.partition,
            offset=self._replies.position(request.reply_to),
            claimed_at_ms=request.accepted_at_ms,
            begins_by_ms=request.route_by_ms,
            supersedes=superseded,
        )
        try:
            async with asyncio.timeout(CLAIM_WITHIN_S):
                acknowledgement = await self._service.producer.publish(topics.IDEMPOTENCY, claim)
                await settle([acknowledgement])
                found = acknowledgement.result()
                while self._log.position(found.partition) <= found.offset:
                    await self._log.moved()
        except (KafkaError, TimeoutError):
            raise log_away() from None
        held = self._claims.find(wanted.owner, wanted.key.locator, request.accepted_at_ms)
        return held is not None and held.request_id == request.request_id


def _other_body() -> Unprocessable:
    return Unprocessable(
        "This Idempotency-Key was sent with another request within the last day; send a new key with a new request.",
        code="idempotency_key_reused",
    )
