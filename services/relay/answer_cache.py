"""Answers that are given again: looked up before a provider is called, and kept when one has answered (ADR 31)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from pydantic import ValidationError

from contracts import topics
from contracts.answers import AnswerCached, AnswersForgotten, CacheUse
from contracts.clock import now_ms
from contracts.prompts import PromptSubmitted
from contracts.replies import Outcome
from contracts.routes import RoutePlanned, Target
from libs.bus.producer import Producer, settle
from libs.bus.records import Received
from libs.config.gateway import AnswerCaching
from libs.runtime.background import Repeated, Tasks
from libs.sealing.answers import AnswerKey
from libs.sealing.hybrid import SealError
from services.relay.core.answers import SHARED, AnswerBook, CachedAnswer, normalised
from services.relay.core.ending import Ending
from services.relay.grants import Grants

log = structlog.get_logger()

EXPIRE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer that may be given again, and whose it counts as."""

    answer: CachedAnswer
    target: Target
    """Of the route: no answer of a provider that the policy does not leave any more is given."""


class Lookup:
    """One request's way past the cache."""

    def __init__(self, cache: "AnswerCache", route: RoutePlanned, use: CacheUse, keys: Sequence[AnswerKey]) -> None:
        self._cache = cache
        self._route = route
        self._use = use
        self._keys = keys
        self._events: list[str] | None = []
        self._size = 0
        self._leads = False

    async def find(self) -> Hit | None:
        """The answer, if there is one, or is about to be. None: a provider is to be called."""
        if hit := self._find():
            return hit
        while self._use.joins and self._keys:
            leader = self._cache.flights.get(self._keys[0].locator)
            if leader is None:
                self._cache.flights[self._keys[0].locator] = asyncio.get_running_loop().create_future()
                self._leads = True
                return None
            remaining_s = (self._route.deadline_ms - now_ms()) / 1000
            await asyncio.wait({leader}, timeout=max(0.0, remaining_s / 2))
            if hit := self._find():
                return hit
            if not leader.done():
                return None
        return None

    def _find(self) -> Hit | None:
        if not self._use.reads:
            return None
        return self._cache.find(self._keys, self._route, self._use.max_age_s)

    def add(self, events: str | bytes) -> None:
        """Events that the client is sent."""
        if self._events is None or not self._use.writes:
            return
        self._size += len(events)
        if isinstance(events, bytes) or self._size > self._cache.settings.entry_bytes:
            self._events = None
        else:
            self._events.append(events)

    def end(self, ending: Ending | None) -> None:
        """Keeps a whole answer, and lets those go on who wait for it. None: it has none."""
        try:
            if ending is not None and self._keys and self._use.writes and self._events is not None:
                self._keep(ending)
        finally:
            if self._leads:
                self._cache.flights.pop(self._keys[0].locator).set_result(None)
                self._leads = False

    def _keep(self, ending: Ending) -> None:
        target = ending.target
        if ending.outcome is not Outcome.COMPLETED or ending.status != 200 or target is None:
            return
        answer = CachedAnswer(
            provider_id=target.provider_id,
            upstream_model=target.upstream_model,
            model=target.model,
            body=ending.body,
            events="".join(self._events or ()),
            tail=ending.tail or "",
            content_type=ending.content_type,
            tokens=ending.tokens,
            quantities=ending.quantities,
            cached_at_ms=now_ms(),
        )
        owner = SHARED if self._use.shared else self._route.caller.owner
        self._cache.keep(self._keys[0], owner, answer, self._use.ttl_s)


class AnswerCache:
    """What this relay and the others have kept, sealed, in memory; `ANSWERS` publishes it to all of them."""

    def __init__(self, producer: Producer, grants: Grants, settings: AnswerCaching) -> None:
        self.settings = settings
        self.flights: dict[str, asyncio.Future[None]] = {}
        """Requests that are being answered, by locator, where others may join."""
        self._producer = producer
        self._grants = grants
        self._book = AnswerBook(settings.relay_bytes)
        self._tasks = Tasks("keep answers")
        self.background = Repeated("forget old answers", self._expire, every_s=EXPIRE_EVERY_S)

    def lookup(self, route: RoutePlanned, prompt: PromptSubmitted) -> Lookup | None:
        """None: the request wants nothing of the cache."""
        use = route.cache
        if use is None:
            return None
        owner = SHARED if use.shared else route.caller.owner
        request = normalised(route, prompt.body)
        keys = [AnswerKey.derive(secret, owner, request) for secret in self._grants.secrets()]
        return Lookup(self, route, use, keys)

    def find(self, keys: Sequence[AnswerKey], route: RoutePlanned, max_age_s: int | None) -> Hit | None:
        """An answer that this relay has."""
        for key in keys:
            sealed = self._book.find(key.locator, now_ms(), max_age_s)
            if sealed is None:
                continue
            try:
                opened = key.open(sealed, most_bytes=2 * self.settings.entry_bytes + 65_536)
                answer = CachedAnswer.model_validate_json(opened)
            except (SealError, ValidationError):
                log.warning("a cached answer does not open", request_id=route.request_id)
                continue
            for target in route.targets:
                if (target.provider_id, target.model) == (answer.provider_id, answer.model):
                    return Hit(answer, target.model_copy(update={"upstream_model": answer.upstream_model}))
        return None

    def keep(self, key: AnswerKey, owner: str, answer: CachedAnswer, ttl_s: int) -> None:
        """At once here, and soon at the other relays."""
        content = answer.model_dump_json(exclude_defaults=True).encode()
        if len(content) > self.settings.entry_bytes:
            return
        record = AnswerCached(
            locator=key.locator,
            owner=owner,
            cached_at_ms=answer.cached_at_ms,
            expires_at_ms=answer.cached_at_ms + ttl_s * 1000,
            sealed=key.seal(content),
        )
        self._book.apply(record, now_ms())
        self._tasks.spawn(self._publish(record))

    def receive(self, received: Received[AnswerCached | AnswersForgotten]) -> None:
        """Takes in what other relays kept, and what owners want forgotten."""
        self._book.apply(received.record, now_ms())

    async def _publish(self, record: AnswerCached) -> None:
        try:
            await settle([await self._producer.publish(topics.ANSWERS, record)])
        except (KafkaError, MessageSizeTooLargeError) as error:
            log.warning("an answer is kept by this relay alone", error=type(error).__name__)

    async def _expire(self) -> None:
        self._book.expire(now_ms())
