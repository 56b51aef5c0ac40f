"""``POST /messages/count_tokens``: about how many tokens a request has, by the gateway's own estimate."""

import orjson
from starlette.types import Receive, Scope, Send

from contracts.requests import Surface
from libs.config.versions import CatalogVersions
from libs.policy.rules import unknown_model
from services.ingress.body import ClientGone
from services.ingress.core import admission, bodies
from services.ingress.core.answers import refused, whole
from services.ingress.core.errors import BadRequest, IngressError
from services.ingress.visitors import Visitors


class TokenCountPage:
    """The ASGI application. No provider is asked: clients count to see whether a conversation still fits."""

    def __init__(self, visitors: Visitors, versions: CatalogVersions) -> None:
        self._visitors = visitors
        self._versions = versions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        try:
            count = await self._count(scope, receive)
        except ClientGone:
            return
        except IngressError as error:
            messages = refused(error.refusal, [], Surface.MESSAGES)
        else:
            messages = whole(200, orjson.dumps({"input_tokens": count}), [])
        for message in messages:
            await send(message)

    async def _count(self, scope: Scope, receive: Receive) -> int:
        visitor = await self._visitors.visitor(scope)
        admission.content_type_of(visitor.headers, Surface.MESSAGES)
        with await self._visitors.read_json(visitor, receive, bodies.MOST_NODES[Surface.MESSAGES]) as body:
            model, size = bodies.measured(body.data)
        admission.check_key(model, has_key=visitor.caller is not None)
        catalog = self._versions.newest
        if catalog.find(model) is None and model not in catalog.auto:
            raise BadRequest(unknown_model(model))
        return size.tokens_about
