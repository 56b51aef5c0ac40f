"""Publishes prompts and answers for the sinks, of organizations whose policy says so, sealed to the sinks' key."""

import asyncio

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from contracts import topics
from contracts.clock import now_ms
from contracts.contents import ContentRecorded, ContentsKept
from contracts.control import PolicySet
from contracts.prompts import PromptSubmitted
from contracts.record import JSON
from contracts.routes import RoutePlanned
from libs.bus.producer import Producer
from libs.bus.views import View
from libs.sealing.contents import seal_content
from services.relay.core.ending import Ending
from services.relay.core.noting import LEFT_OUT, Notes, content_of, prompt_steps

log = structlog.get_logger()


class Recording:
    """Does nothing where there is no key, and for organizations that do not ask for it."""

    def __init__(self, producer: Producer, policies: View[PolicySet], public_key: str | None) -> None:
        """
        Args:
            public_key: the sinks'; None: nobody reads contents, and none are written.
        """
        self._producer = producer
        self._policies = policies
        self._public_key = public_key

    def rules_of(self, route: RoutePlanned) -> ContentsKept | None:
        """What the client's organization keeps; None: nothing."""
        organization = route.caller.organization_id
        policy = self._policies.get(organization) if organization and self._public_key else None
        return policy.contents if policy else None

    async def record(
        self, route: RoutePlanned, prompt: PromptSubmitted, notes: Notes, ending: Ending, trace: str
    ) -> None:
        """Returns when it is on the log. What is too large for it is left out."""
        organization, rules = route.caller.organization_id, self.rules_of(route)
        if organization is None or rules is None or self._public_key is None:
            return
        if ending.body:
            notes.whole(ending.body)
        if ending.tail:
            notes.add(ending.tail)
        kept = await self._prompt(rules, prompt)
        answer = await asyncio.to_thread(notes.text, rules.redact)
        sealed = await asyncio.to_thread(
            seal_content,
            content_of(rules, kept, answer, ending.outcome.value),
            self._public_key,
            request_id=route.request_id,
            organization_id=organization,
        )
        record = ContentRecorded(
            request_id=route.request_id,
            organization_id=organization,
            model=route.model,
            keep_days=rules.keep_days,
            recorded_at_ms=now_ms(),
            sealed=sealed,
        )
        try:
            await self._producer.publish_until_acknowledged(topics.CONTENTS, record, trace)
        except MessageSizeTooLargeError:
            log.warning("contents are too large to be kept", request_id=route.request_id)

    async def _prompt(self, rules: ContentsKept, prompt: PromptSubmitted) -> object:
        if not rules.prompts or prompt.content_type != JSON:
            return LEFT_OUT
        found: list[object] = []
        for _ in prompt_steps(prompt.body, rules.redact, found):
            await asyncio.sleep(0)
        return found[0]
