"""What the ingress writes on the log: requests with their prompts, cancellations, and which keys were used."""

import asyncio
import sys
from typing import Any, TypeVar

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts import topics
from contracts.clock import now_ms
from contracts.prompts import PromptSubmitted
from contracts.record import Lasting, Record, ReplyAddress, RequestId
from contracts.requests import KeyUsed, ReplyRead, RequestAccepted, RequestCancelled
from contracts.responses import ResponseBegun
from contracts.topic import Topic
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.bus.watch import BrokerWatch
from libs.runtime.background import Tasks
from services.ingress.body import Body
from services.ingress.claimant import Claimant
from services.ingress.core.errors import BadRequest, Unavailable, log_away, not_taken
from services.ingress.replies import RepliesReader
from services.ingress.withheld import Withheld

R = TypeVar("R", bound=Record)

LOOK_EVERY_S = 0.25
"""While the log has not taken a request: whether it is there at all."""
KEY_USE_EVERY_MS = 60_000
MOST_KEYS = 50_000


async def publish_one(
    producer: Producer, topic: Topic[Any], record: Record, *, within_s: float, trace: str = ""
) -> None:
    """Returns when the broker has a record. Raises Unavailable where it does not take it in time."""
    try:
        async with asyncio.timeout(within_s):
            await settle([await producer.publish(topic, record, trace)])
    except (KafkaError, TimeoutError):
        raise log_away() from None


class Publishing:
    """Publishes for the clients of one ingress, where the broker is there and a partition for the replies is held."""

    def __init__(
        self,
        producer: Producer,
        watch: BrokerWatch,
        claimant: Claimant,
        replies: RepliesReader,
        *,
        ingress_id: str,
        within_s: float,
    ) -> None:
        """
        Args:
            within_s: until the broker has a request; then its client is refused.
        """
        self._producer = producer
        self._watch = watch
        self._claimant = claimant
        self._replies = replies
        self._ingress_id = ingress_id
        self._within_s = within_s
        self._key_noted_at_ms: dict[str, int] = {}
        self._background = Tasks("publish from the ingress")

    def address(self, lasting: Lasting = Lasting.CONNECTION) -> ReplyAddress:
        """Where replies come to. Raises Unavailable where they would not be read, or nothing can be published."""
        partition = self._claimant.held
        if partition is None or not self._replies.ready or not self._watch.up:
            raise log_away()
        return ReplyAddress(partition=partition, ingress_id=self._ingress_id, lasting=lasting)

    async def publish(self, request: RequestAccepted, prompt: PromptSubmitted | None, trace: str) -> None:
        """Returns when the broker has both.

        Args:
            prompt: None: it waits for the route, see `withhold`.

        Raises:
            BadRequest: the request is too large without its prompt.
            Unavailable: the broker does not take it; it may be there all the same.
        """
        # The partition may have been lost while the body came: nobody would read the answer.
        if self.address(request.reply_to.lasting) != request.reply_to:
            raise log_away()
        try:
            async with asyncio.timeout(self._within_s):
                both = [await self._producer.publish(topics.PROMPTS, prompt, trace)] if prompt else []
                both.append(await self._producer.publish(topics.REQUESTS, request, trace))
                await self._settle(both)
        except MessageSizeTooLargeError:
            raise BadRequest("What this request says beside its messages is too long for this gateway.") from None
        except (KafkaError, TimeoutError):
            raise not_taken() from None

    def withhold(self, prompt: PromptSubmitted, body: Body, trace: str) -> Withheld:
        """The prompt of a request that may be refused: it is published when the router wants it."""

        async def publish(wanted: PromptSubmitted) -> None:
            try:
                await publish_one(self._producer, topics.PROMPTS, wanted, within_s=self._within_s, trace=trace)
            except Unavailable:
                raise not_taken() from None

        return Withheld(prompt, body, publish, self._background)

    async def _settle(self, acknowledgements: list[Acknowledgement]) -> None:
        """Waits for as long as there is a log: a partition may be without a leader while brokers are restarted."""
        waiting: set[Acknowledgement] = set(acknowledgements)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LOOK_EVERY_S)
            if waiting and not self._watch.up:
                raise TimeoutError
        await settle(acknowledgements)

    def cancel(self, request_id: RequestId, trace: str) -> None:
        """Nobody waits for the answer any more."""
        record = RequestCancelled(
            request_id=request_id,
            reason="the client is not waiting any more",
            cancelled_at_ms=now_ms(),
        )
        self._publish_soon(topics.CANCELLATIONS, record, trace)

    async def publish_cancelled(self, request_id: RequestId, reason: str) -> None:
        """The same, for a client that waits until it is there. Raises Unavailable where the log does not take it."""
        record = RequestCancelled(request_id=request_id, reason=reason, cancelled_at_ms=now_ms())
        await publish_one(self._producer, topics.CANCELLATIONS, record, within_s=self._within_s)

    async def publish_begun(self, begun: ResponseBegun) -> None:
        """A response is made in the background. Raises Unavailable where the log does not take it."""
        await publish_one(self._producer, topics.RESPONSE_INDEX, begun, within_s=self._within_s)

    def note_read(self, request_id: RequestId, size: int, trace: str) -> None:
        """The client has been sent so much of its stream, in all."""
        self._publish_soon(topics.CANCELLATIONS, ReplyRead(request_id=request_id, size=size), trace)

    def note_stalled(self, request_id: RequestId, reply_to: ReplyAddress) -> None:
        """The client reads nothing. Nobody slows its provider down any more, who would end the stream for that: the log
        takes the rest, and has it when the client reads on."""
        if reply_to.lasting is Lasting.CONNECTION:
            self.note_read(request_id, sys.maxsize, "")

    def note_key_used(self, fingerprint: str, at_ms: int) -> None:
        """Publishes that a key was used, once a minute."""
        if at_ms - self._key_noted_at_ms.get(fingerprint, 0) < KEY_USE_EVERY_MS:
            return
        if len(self._key_noted_at_ms) >= MOST_KEYS:
            self._key_noted_at_ms.clear()
        self._key_noted_at_ms[fingerprint] = at_ms
        self._publish_soon(topics.KEY_USES, KeyUsed(key_fingerprint=fingerprint, used_at_ms=at_ms), "")

    def _publish_soon(self, topic: Topic[R], record: R, trace: str) -> None:
        async def publish() -> None:
            await settle([await self._producer.publish(topic, record, trace)])

        self._background.spawn(publish())
