"""``DELETE /cache``: no answer that is cached by now is given again to its owner."""

import asyncio

import orjson
from aiokafka.errors import KafkaError
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.answers import AnswersForgotten
from contracts.clock import now_ms
from libs.bus.producer import Producer, settle
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unauthorized, Unavailable
from services.ingress.visitors import Visitors

WITHIN_S = 5.0


class ForgetPage:
    """The ASGI application. Relays follow within milliseconds; answers that all share are nobody's to forget."""

    def __init__(self, visitors: Visitors, producer: Producer) -> None:
        self._visitors = visitors
        self._producer = producer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            visitor = await self._visitors.visitor(scope)
            if visitor.owner is None:
                raise Unauthorized("Cached answers are an account's: send `Authorization: Bearer <api key>`.")
            record = AnswersForgotten(owner=visitor.owner, forgotten_at_ms=now_ms())
            try:
                async with asyncio.timeout(WITHIN_S):
                    await settle([await self._producer.publish(topics.ANSWERS, record)])
            except (KafkaError, TimeoutError):
                raise Unavailable(
                    "The gateway's log is not available; try again in a moment.", retry_after_s=1
                ) from None
            messages = whole(200, orjson.dumps({"owner": visitor.owner, "forgotten": True}), [])
        except IngressError as error:
            messages = refused(error.refusal, [])
        for message in messages:
            await send(message)
