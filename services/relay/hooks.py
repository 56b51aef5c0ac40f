"""Asks the webhook of a client's organization, where its rules want that: before a provider has the request, and before
the client has the answer."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx
import structlog

from contracts.clock import now_ms
from contracts.guardrails import WebhookRules
from contracts.prompts import PromptSubmitted
from contracts.record import JSON, Refusal
from contracts.replies import EVENTS, Outcome
from contracts.routes import RoutePlanned
from libs.outbound.hooks import Hook
from libs.outbound.http import Outbound
from libs.outbound.signatures import secrets_of, signed_headers
from libs.sealing.hybrid import SealError
from services.relay.core.ending import Ending, undeliverable
from services.relay.core.hooking import (
    MOST_ANSWER_BYTES,
    MOST_ASKED_BYTES,
    HookError,
    question,
    refusal_of,
    unanswered,
)
from services.relay.grants import Grants
from services.relay.reply_stream import ReplyStream

log = structlog.get_logger()


class Hooks:
    """Asks all webhooks."""

    def __init__(self, outbound: Outbound, grants: Grants) -> None:
        self._outbound = outbound
        self._grants = grants

    async def before(self, route: RoutePlanned, prompt: PromptSubmitted, rules: WebhookRules) -> Refusal | None:
        """The refusal of a request; None: it passes."""
        asked = prompt.body if prompt.content_type == JSON else None
        return await self._asked(route, "before", {"stream": route.stream, "request": asked}, rules)

    async def after(self, route: RoutePlanned, ending: Ending, stream: ReplyStream, rules: WebhookRules) -> Ending:
        """How an answer ends, once the webhook has seen it. What was held back is on the log then, or nowhere."""
        if ending.outcome is not Outcome.COMPLETED:
            stream.drop()
            ending.tail, ending.size = None, 0
            return ending
        answer = ending.body
        if answer is None and stream.content_type == EVENTS:
            answer = stream.held + (ending.tail or "")
        refusal = await self._asked(route, "after", {"streamed": ending.body is None, "answer": answer}, rules)
        if refusal:
            stream.drop()
            refused = undeliverable(ending, refusal)
            refused.size = 0
            return refused
        await stream.release()
        return ending

    async def _asked(
        self, route: RoutePlanned, stage: str, about: Mapping[str, Any], rules: WebhookRules
    ) -> Refusal | None:
        try:
            async with asyncio.timeout(rules.timeout_ms / 1000):
                return refusal_of(await self._answer(route, stage, about), stage)
        except (HookError, SealError, TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning(
                "a webhook of guardrails did not answer",
                request_id=route.request_id,
                organization_id=route.caller.organization_id,
                error=type(error).__name__,
            )
            return unanswered(rules, stage)

    async def _answer(self, route: RoutePlanned, stage: str, about: Mapping[str, Any]) -> bytes:
        if route.hook is None:
            raise HookError("there is none")
        hook = Hook.decode(await self._grants.open(route.hook, route.request_id))
        hook.check(self._outbound.reachable)
        body = question(route, stage, about, now_ms())
        if len(body) > MOST_ASKED_BYTES:
            raise HookError("the question is too large")
        id = f"{route.request_id}/{stage}"
        headers = signed_headers(id, body, secrets_of(hook.secret), int(time.time()))
        headers |= {"user-agent": "sluice", "accept-encoding": "identity"}
        timeout = httpx.Timeout(None).as_dict()
        response = await self._outbound.send(
            httpx.Request("POST", hook.url, content=body, headers=headers, extensions={"timeout": timeout})
        )
        try:
            if response.status_code != 200:
                raise HookError("its status is not 200")
            answer = bytearray()
            async for piece in response.aiter_bytes():
                answer += piece
                if len(answer) > MOST_ANSWER_BYTES:
                    raise HookError("its answer is too large")
            return bytes(answer)
        finally:
            await response.aclose()
