"""Which routes may be run: the join of route, prompt and what the log says was attempted before. Pure.

A route runs at most once, although delivery is at least once: the attempts on the log, recalled after every
assignment, say what a predecessor began or ended.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from contracts.attempts import Attempt, AttemptEnded, AttemptStarted
from contracts.prompts import PromptSubmitted
from contracts.record import RequestId
from contracts.routes import RequestRejected, RoutePlanned
from libs.bus.recent import RecentIds
from services.relay.core.course import Course

Source = TypeVar("Source")
"""The record of the log that something came in; the intake only hands it back."""


@dataclass(frozen=True, slots=True)
class Run:
    """Call the provider: route and prompt are here and nobody tried before."""

    route: RoutePlanned
    prompt: PromptSubmitted
    traceparent: str


@dataclass(frozen=True, slots=True)
class Reject:
    """End it: there is no route."""

    route: RequestRejected
    traceparent: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The prompt is broken or never came."""

    route: RoutePlanned
    reason: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Its client left before the prompt came: it never will."""

    route: RoutePlanned
    traceparent: str


@dataclass(frozen=True, slots=True)
class Republish:
    """It ended, but its usage and its reply may be missing on the log."""

    ended: AttemptEnded
    traceparent: str


@dataclass(frozen=True, slots=True)
class Examine:
    """A relay began it and published no end: is that relay alive?"""

    route: RoutePlanned
    started: AttemptStarted
    traceparent: str


Action = Run | Reject | Fail | Cancel | Republish | Examine


@dataclass(slots=True)
class _Entry(Generic[Source]):
    seen_at_ms: int
    route: RoutePlanned | RequestRejected | None = None
    prompt: PromptSubmitted | None = None
    traceparent: str = ""
    known: Course = field(default_factory=Course)
    sources: list[Source] = field(default_factory=list)
    broken: bool = False
    acting: bool = False


class Intake(Generic[Source]):
    """Requests on their way to a provider. Each gives one action, until `settled` ends it."""

    def __init__(self, *, prompt_within_ms: int, keep_ms: int) -> None:
        """
        Args:
            prompt_within_ms: how long a route waits for its prompt.
            keep_ms: how long a settled request, or a prompt without a route, is remembered.
        """
        self._prompt_within_ms = prompt_within_ms
        self._keep_ms = keep_ms
        self._entries: dict[RequestId, _Entry[Source]] = {}
        self._settled = RecentIds()

    def __len__(self) -> int:
        return len(self._entries) + len(self._settled)

    def prompt_of(self, request_id: RequestId) -> PromptSubmitted | None:
        """The prompt of a request that is acted on, once it has come."""
        entry = self._entries.get(request_id)
        return entry.prompt if entry else None

    def keeps(self, request_id: RequestId) -> bool:
        """True while the records of a request are waited for or acted on."""
        return request_id in self._entries

    def route(
        self, route: RoutePlanned | RequestRejected, source: Source, traceparent: str, now_ms: int
    ) -> Action | None:
        """Takes a route in; the first of a request counts."""
        if route.request_id in self._settled:
            return None
        entry = self._entry(route.request_id, now_ms)
        entry.sources.append(source)
        if entry.route is None:
            entry.route, entry.traceparent, entry.seen_at_ms = route, traceparent, now_ms
        return self._action(entry)

    def prompt(self, prompt: PromptSubmitted, source: Source, now_ms: int) -> Action | None:
        """Takes a prompt in, before or after its route."""
        if prompt.request_id in self._settled:
            return None
        entry = self._entry(prompt.request_id, now_ms)
        entry.sources.append(source)
        entry.prompt = prompt
        return self._action(entry)

    def adopt(self, request_id: RequestId, source: Source, now_ms: int) -> None:
        """The route of an attempt that this process is running: the partition went and came back meanwhile."""
        entry = self._entry(request_id, now_ms)
        entry.acting = True
        entry.sources.append(source)

    def recall(self, attempt: Attempt, now_ms: int) -> None:
        """An attempt that is on the log. Recall a partition's attempts before its routes."""
        if attempt.request_id in self._settled:
            return
        self._entry(attempt.request_id, now_ms).known.take(attempt)

    def ended_elsewhere(self, ended: AttemptEnded) -> Republish | None:
        """An examined attempt ended after all."""
        entry = self._entries.get(ended.request_id)
        if entry is None:
            return None
        entry.known.ended = ended
        return Republish(ended, entry.traceparent)

    def settled(self, request_id: RequestId, now_ms: int) -> list[Source]:
        """All is on the log: returns the records that are finished, and forgets the prompt."""
        entry = self._entries.pop(request_id, None)
        self._settled.add(request_id, now_ms)
        return entry.sources if entry else []

    def expire(self, now_ms: int, cancelled: Container[RequestId] = ()) -> list[Fail | Cancel | list[Source]]:
        """Routes whose prompt does not come, and the records of prompts whose route does not; forgets what is old.

        Args:
            cancelled: requests whose clients have left.
        """
        overdue: list[Fail | Cancel | list[Source]] = []
        for request_id, entry in list(self._entries.items()):
            age_ms = now_ms - entry.seen_at_ms
            if isinstance(entry.route, RoutePlanned) and not entry.acting:
                action = self._given_up(entry.route, entry, age_ms, left=request_id in cancelled)
                if action:
                    entry.acting = True
                    overdue.append(action)
            elif age_ms >= self._keep_ms and not entry.acting and entry.route is None:
                del self._entries[request_id]
                if entry.sources:
                    overdue.append(entry.sources)
        self._settled.forget(now_ms - self._keep_ms)
        return overdue

    def _given_up(self, route: RoutePlanned, entry: _Entry[Source], age_ms: int, *, left: bool) -> Fail | Cancel | None:
        if left:
            return Cancel(route, entry.traceparent)
        if age_ms >= self._prompt_within_ms:
            return Fail(route, "the prompt did not arrive", entry.traceparent)
        return None

    def broken(self, request_id: RequestId, now_ms: int) -> Action | None:
        """The prompt cannot be read, whether or not its route is here."""
        if request_id in self._settled:
            return None
        entry = self._entry(request_id, now_ms)
        entry.broken = True
        return self._action(entry)

    def _entry(self, request_id: RequestId, now_ms: int) -> _Entry[Source]:
        entry = self._entries.get(request_id)
        if entry is None:
            entry = self._entries[request_id] = _Entry(now_ms)
        return entry

    def _action(self, entry: _Entry[Source]) -> Action | None:
        route = entry.route
        if entry.acting or route is None:
            return None
        action = _choose(entry, route)
        entry.acting = action is not None
        return action


def _choose(entry: _Entry[Source], route: RoutePlanned | RequestRejected) -> Action | None:
    if entry.known.ended is not None:
        return Republish(entry.known.ended, entry.traceparent)
    if isinstance(route, RequestRejected):
        return Reject(route, entry.traceparent)
    if entry.known.started is not None:
        return Examine(route, entry.known.started, entry.traceparent)
    if entry.broken:
        return Fail(route, "the prompt could not be read", entry.traceparent)
    if entry.prompt is not None:
        return Run(route, entry.prompt, entry.traceparent)
    return None
