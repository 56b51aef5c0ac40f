"""``DELETE /cache``: no answer that is cached by now is given again to its owner."""

import orjson
from starlette.types import Receive, Scope, Send

from contracts import topics
from contracts.answers import AnswersForgotten
from contracts.clock import now_ms
from libs.bus.producer import Producer
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import IngressError, Unauthorized
from services.ingress.publishing import publish_one
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
            await publish_one(self._producer, topics.ANSWERS, record, within_s=WITHIN_S)
            messages = whole(200, orjson.dumps({"owner": visitor.owner, "forgotten": True}), [])
        except IngressError as error:
            messages = refused(error.refusal, [])
        for message in messages:
            await send(message)
