"""Records in, verdicts out: for all subjects of the partitions that this instance owns."""

from collections.abc import Container, Sequence
from typing import Any

import structlog

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import monotonic_ms, now_ms
from contracts.decisions import QuotaReserved, QuotaWindow
from contracts.record import Refusal
from contracts.requests import RequestAccepted, Surface
from contracts.usage import UsageRecorded
from libs.bus.processor import Processor, Work
from libs.bus.records import Received
from libs.bus.service import Service
from libs.config.catalog import UNKNOWN_CATALOG, Catalog
from libs.config.gateway import Timeouts
from libs.config.versions import CatalogVersions
from libs.policy.rules import check
from libs.sealing.credentials import credential_id
from services.rate_limit.core.balances import Balances, day_of
from services.rate_limit.core.bounds import Rules, Views
from services.rate_limit.core.refusals import crowded
from services.rate_limit.core.timeliness import OUT_OF_TIME, OutOfTimeCount, in_time
from services.rate_limit.core.verdicts import Asked, Judge, Lacking, asked, of_own_server, reserved, without_price
from services.rate_limit.core.waiting import Line, Waiter
from services.rate_limit.core.windows import Limit
from services.rate_limit.measuring import observe
from services.rate_limit.partition import Fact, Partition, Partitions, Waiting
from services.rate_limit.publishing import Unpublished
from services.rate_limit.recovery import recover

log = structlog.get_logger()

TICK_S = 0.2
FORGET_EVERY_MS = 60_000
AGAIN_WITHIN_MS = 60_000
"""A request that was decided comes again so soon, or (after a crash) its decision is on the log."""
MOST_WAITING = 5_000
"""Requests that wait, over all owners: their records are in memory."""
ROUTED_WITHIN_MS = 2_000
"""A request must not wait for longer than so before it has to be routed."""


class QuotaProcessor(Processor[RequestAccepted | Fact]):
    """All subjects of the partitions of one assignment."""

    def __init__(
        self,
        work: Work,
        service: Service,
        *,
        versions: CatalogVersions,
        views: Views,
        credentials: Container[str],
        timeouts: Timeouts,
        out_of_time: OutOfTimeCount,
        keep_ms: int,
    ) -> None:
        """
        Args:
            views: policies and limits that users have set.
            credentials: the IDs of users' own provider keys.
            out_of_time: is added to.
            keep_ms: how long a request may take from its acceptance to its end.
        """
        self._work = work
        self._service = service
        self._versions = versions
        self._judge = Judge(self._rules, views)
        self._credentials = credentials
        self._timeouts = timeouts
        self._out_of_time = out_of_time
        self._keep_ms = keep_ms
        self._balances = Balances()
        self._partitions = Partitions(lambda: Partition(self._judge, self._balances, self._free, self._cost))
        self._unpublished = Unpublished(work, self._partitions)
        observe(self._partitions)
        self._loaded_at_ms = self._forgot_at_ms = 0

    def _rules(self) -> Rules:
        """What holds now: a new limit counts for all requests that come after it."""
        newest = self._versions.newest
        return Rules(newest.limits, newest.billing)

    def _free(self) -> Limit:
        limits = self._versions.newest.limits
        return Limit("free", limits.free_requests, limits.free_window_s * 1000)

    def _cost(self, usage: UsageRecorded) -> int:
        return self._versions.cost(usage).microdollars

    async def load(self) -> None:
        """Loads what the partitions must know before their first decision."""
        self._loaded_at_ms = now_ms()
        since_ms = self._loaded_at_ms - self._keep_ms
        await recover(self._service, self._work, self._partitions, self._balances, since_ms, self._loaded_at_ms)

    async def process(self, batch: Sequence[Received[RequestAccepted | Fact]]) -> None:
        """Takes a batch in; all that follows from it is on the log when it returns."""
        now = now_ms()
        moved: set[tuple[int, str]] = set()
        for received in batch:
            part, record = self._partitions[received.partition], received.record
            if isinstance(record, RequestAccepted):
                if record.request_id not in part.on_log:
                    catalog = await self._versions.known(record.catalog_version)
                    self._on_request(received, record, catalog, part, now)
            else:
                moved.add((received.partition, self._on_fact(received, record, part, now)))
        for number, owner in moved:
            self._partitions[number].move(owner, now, self._give)
        await self._unpublished.publish()

    async def tick(self) -> None:
        """Ends the wait of who has waited long enough; drops what does not count any more."""
        now = now_ms()
        for part in self._partitions.values():
            part.given.forget(monotonic_ms() - AGAIN_WITHIN_MS)
            for owner in [owner for owner, line in part.lines.items() if line.due(now)]:
                part.move(owner, now, self._give)
        await self._unpublished.publish()
        if now - self._forgot_at_ms >= FORGET_EVERY_MS:
            self._forgot_at_ms = now
            await self._forget(now)

    async def _forget(self, now: int) -> None:
        self._balances.forget(day_of(now - self._keep_ms))
        for part in self._partitions.values():
            if now - self._loaded_at_ms >= AGAIN_WITHIN_MS:
                part.on_log.clear()
            for subject in part.forget(now, self._keep_ms):
                await self._work.delete(topics.QUOTA_STATE, subject)

    # Facts.

    def _on_fact(self, received: Received[Any], record: Fact, part: Partition, now: int) -> str:
        """Takes in a fact; returns the owner whose requests may now have room."""
        if isinstance(record, UsageRecorded):
            if part.on_usage(record, received.offset, now) and record.request_id not in part.unposted:
                # In work until its charge comes; of usage that comes again, the first.
                part.unposted[record.request_id] = received
                self._work.hold(received)
            self._leave_line(record.caller.owner, record.request_id, part)
            return record.caller.owner
        if isinstance(record, ChargePosted):
            usage = part.on_charge(record, now)
            if usage:
                self._work.finish(usage)
            return record.balance.owner if record.balance else ""
        part.on_state(record)
        return record.owner

    def _leave_line(self, owner: str, request_id: str, part: Partition) -> None:
        line = part.lines.get(owner)
        gone = line.leave(request_id) if line else None
        if gone:
            # It has ended, for whatever reason: nobody waits for a verdict.
            self._work.finish(gone.item.received)

    # Requests.

    def _on_request(
        self, received: Received[Any], request: RequestAccepted, catalog: Catalog | None, part: Partition, now: int
    ) -> None:
        known = part.given.find(request.request_id)
        if known:
            self._unpublished.give(known, received.traceparent)
        elif not in_time(request, self._timeouts, now):
            if self._out_of_time.add(request, now):
                log.warning("requests out of time", off_ms=request.accepted_at_ms - now, request_id=request.request_id)
            self._unpublished.give(reserved(request, refusal=OUT_OF_TIME), received.traceparent)
        elif request.free:
            decision = self._admit(request, part, received.offset)
            # Also of a request that was counted before: the log may not have taken it then.
            self._unpublished.window(received.partition, request.subject, received.traceparent)
            self._unpublished.give(decision, received.traceparent)
        else:
            found = self._decide(received, request, catalog, part, now)
            if found:
                part.given.add(found, monotonic_ms())
                self._unpublished.give(found, received.traceparent)

    def _decide(
        self, received: Received[Any], request: RequestAccepted, catalog: Catalog | None, part: Partition, now: int
    ) -> QuotaReserved | None:
        """The verdict on a paid request; None where it waits for it."""
        one = self._asked(request, catalog)
        if isinstance(one, QuotaReserved):
            return one
        owner, limits = request.caller.owner, self._versions.newest.limits
        line, book = part.lines.get(owner) or Line[Waiting](), part.book(owner)
        if request.request_id in line:
            return None
        until_ms = min(request.accepted_at_ms + round(limits.wait_s * 1000), request.route_by_ms - ROUTED_WITHIN_MS)
        needs = self._judge.needs(book, one) if line and now < until_ms else frozenset()
        room = len(line) < limits.waiting and part.waiting < MOST_WAITING
        behind = line.behind(needs)
        if behind and not room:
            return reserved(request, refusal=crowded(limits.waiting))
        found = (
            Lacking(needs, behind) if behind else self._judge.decide(book, one, now, last=not room or now >= until_ms)
        )
        if isinstance(found, QuotaReserved):
            return found
        line.join(Waiter(request.request_id, found.needs, until_ms, Waiting(one, received, now)), found.lacks)
        part.lines[owner] = line
        self._work.hold(received)
        return None

    def _asked(self, request: RequestAccepted, catalog: Catalog | None) -> Asked | QuotaReserved:
        """What a paid request asks for, or the refusal of one that cannot be served."""
        if catalog is None or not self._versions.serves(catalog.version):
            return reserved(request, refusal=UNKNOWN_CATALOG)
        if request.surface is Surface.MCP:
            return of_own_server(request)
        if catalog.find(request.model) is None:
            # Policy's words: which of the two refusals the client gets is a matter of milliseconds.
            unknown = check(request.model, catalog, None)
            return reserved(request, refusal=Refusal(status=unknown.status, message=unknown.message))
        owner = request.caller.owner
        byok = any(credential_id(owner, one.provider_id) in self._credentials for one in catalog.open_to(request))
        return asked(request, catalog.prices_for(request), byok=byok) or without_price(request)

    def _give(self, waiting: Waiting, decision: QuotaReserved) -> None:
        """The verdict of a request that has waited."""
        received = waiting.received
        self._partitions[received.partition].given.add(decision, monotonic_ms())
        self._unpublished.give(decision, received.traceparent, waited=received)

    def _admit(self, request: RequestAccepted, part: Partition, offset: int) -> QuotaReserved:
        """The verdict on a request for a free model."""
        window, free = part.window(request.subject), self._free()
        verdict = window.admit(at_ms=request.accepted_at_ms, offset=offset)
        reset_s = -(-verdict.reset_ms // 1000)
        state = QuotaWindow(
            name=free.name,
            limit=free.count,
            window_s=free.window_ms // 1000,
            remaining=max(0, verdict.remaining),
            reset_s=reset_s,
        )
        refusal = None
        if not verdict.admitted:
            refusal = Refusal(
                status=429,
                message=f"Free models answer {free.count} requests an hour to one address; "
                f"try again in {reset_s} s, or use a model that is paid for.",
                retry_after_s=max(1, reset_s),
            )
        return reserved(request, refusal=refusal, windows=[state])
