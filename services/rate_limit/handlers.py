"""Records in, verdicts out: keeps the state of each partition that this instance owns."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import now_ms
from contracts.control import PolicySet
from contracts.credit import BalanceChanged, MemberSpent
from contracts.decisions import QuotaReserved, QuotaWindow
from contracts.quota import Admission, QuotaStateSaved
from contracts.record import Record, Refusal, RequestId
from contracts.requests import RequestAccepted
from contracts.topic import Topic
from contracts.usage import UsageRecorded
from libs.bus.processor import Processor, Work
from libs.bus.records import Deleted, Received
from libs.bus.service import Service
from libs.config.catalog import Catalog
from libs.policy.rules import check
from libs.pricing.charging import cost_of
from libs.sealing.credentials import credential_id
from libs.telemetry.tracing import Step
from services.rate_limit.core.balances import Balances
from services.rate_limit.core.budget import day_of
from services.rate_limit.core.spending import Owner, Rules, decide, reserved, scopes, take
from services.rate_limit.core.windows import Limit, Window, admit, expired

FORGET_EVERY_S = 60.0
AGAIN_WITHIN_MS = 60_000
"""A request that was decided comes again so soon, or (after a crash) its decision is on the log."""

Fact = UsageRecorded | ChargePosted | BalanceChanged | MemberSpent
_STATES: tuple[Topic[Any], ...] = (topics.BALANCES, topics.SPENDING)
_USAGE: Topic[Any] = topics.USAGE
_CHARGES: Topic[Any] = topics.CHARGES


@dataclass(slots=True)
class _Partition:
    """What one partition's subjects hold."""

    windows: dict[str, Window] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    decided: dict[str, tuple[QuotaReserved, int]] = field(default_factory=dict)
    """Verdicts on paid requests, and when they were given (ms)."""
    on_log: dict[str, QuotaReserved] = field(default_factory=dict)
    """Verdicts of whoever had the partition before."""
    unposted: dict[str, Received[Record]] = field(default_factory=dict)
    """Usage whose charge has not come: in work until it does, so that a successor reads it again."""


class QuotaProcessor(Processor[RequestAccepted | Fact]):
    """All subjects of the partitions of one assignment."""

    def __init__(
        self,
        work: Work,
        service: Service,
        *,
        rules: Rules,
        catalog: Catalog,
        policies: Mapping[str, PolicySet],
        credentials: Container[str],
        keep_ms: int,
    ) -> None:
        """
        Args:
            policies: by organization ID.
            credentials: the IDs of users' own provider keys.
            keep_ms: how long a request may take from its acceptance to its end.
        """
        self._work = work
        self._service = service
        self._rules = rules
        self._limit = Limit("free", rules.limits.free_requests, rules.limits.free_window_s * 1000)
        self._catalog = catalog
        self._policies = policies
        self._credentials = credentials
        self._keep_ms = keep_ms
        self._partitions: dict[int, _Partition] = defaultdict(_Partition)
        self._balances = Balances()

    async def load(self) -> None:
        """Loads what the partitions must know before their first decision."""
        owned, now = self._work.partitions_of(topics.REQUESTS), now_ms()
        await self._load_windows(owned, now)
        for states in _STATES:
            async for found in self._service.recover(states, partitions=owned):
                if isinstance(found, Received):
                    self._apply(found.record, self._partitions[found.partition], now)
        since_ms = now - self._keep_ms
        self._balances.forget(day_of(since_ms))
        async for verdict in self._service.recover(topics.QUOTA_DECISIONS, partitions=owned, since_ms=since_ms):
            if isinstance(verdict, Received):
                self._remember(verdict.record, self._partitions[verdict.partition])
        # All that has ended and is not charged must be held before the first decision.
        begin_at = {number: self._work.begins_at(topics.USAGE, number) for number in owned}
        for facts, begins in ((_USAGE, begin_at), (_CHARGES, None)):
            async for found in self._service.recover(facts, partitions=owned, since_ms=since_ms, begin_at=begins):
                if isinstance(found, Received):
                    self._apply(found.record, self._partitions[found.partition], now)

    async def _load_windows(self, owned: set[int], now: int) -> None:
        async for found in self._service.recover(topics.QUOTA_STATE, partitions=owned):
            windows = self._partitions[found.partition].windows
            if isinstance(found, Deleted):
                windows.pop(found.key, None)
                continue
            state = found.record
            window = Window(applied_offset=state.applied_offset)
            window.times_ms.extend(admission.at_ms for admission in state.admissions)
            window.offsets.extend(admission.offset for admission in state.admissions)
            windows.pop(state.subject, None)
            if not expired(window, self._limit, now):
                windows[state.subject] = window

    def _remember(self, verdict: QuotaReserved, part: _Partition) -> None:
        part.on_log[verdict.request_id] = verdict
        held = verdict.held
        if held:
            limits = scopes(held.owner, held.account_id, held.model, self._rules.limits)
            take(self._owner(part, held.owner), verdict.request_id, held, limits)

    async def process(self, batch: Sequence[Received[RequestAccepted | Fact]]) -> None:
        """Takes a batch in. The changelog is on the log before the decisions are, so that none is forgotten."""
        now = now_ms()
        changed: dict[str, tuple[int, str]] = {}
        decisions: list[tuple[QuotaReserved, str]] = []
        for received in batch:
            part, record = self._partitions[received.partition], received.record
            if not isinstance(record, RequestAccepted):
                if self._apply(record, part, now):
                    self._hold(received, part)
                continue
            if record.request_id in part.on_log:
                continue
            if record.free:
                decision = self._admit(record, part, received.offset)
                # Also of a request that was counted before: the log may not have taken it then.
                changed[record.subject] = (received.partition, received.traceparent)
            else:
                decision = self._decide(record, part, now)
            decisions.append((decision, received.traceparent))
        for subject, (number, traceparent) in changed.items():
            await self._work.publish(topics.QUOTA_STATE, self._state(subject, number), traceparent)
        await self._work.settle()
        for decision, traceparent in decisions:
            step = Step("rate-limit reserve", traceparent)
            step.note_refusal(decision.refusal.status if decision.refusal else None)
            await self._work.publish(topics.QUOTA_DECISIONS, decision, step.traceparent)
            step.end()

    async def tick(self) -> None:
        """Drops what does not count any more, here and in the changelog: memory follows the active."""
        now = now_ms()
        self._balances.forget(day_of(now - self._keep_ms))
        for part in self._partitions.values():
            part.on_log = {}
            part.decided = {name: known for name, known in part.decided.items() if known[1] > now - AGAIN_WITHIN_MS}
            for name, owner in list(part.owners.items()):
                for request_id in owner.budget.expire(now):
                    owner.throttle.ended(request_id, None)
                owner.budget.forget(now - self._keep_ms)
                owner.throttle.forget(now)
                if owner.idle:
                    del part.owners[name]
            for subject in [name for name, window in part.windows.items() if expired(window, self._limit, now)]:
                del part.windows[subject]
                await self._work.delete(topics.QUOTA_STATE, subject)

    def _hold(self, usage: Received[Record], part: _Partition) -> None:
        """Keeps usage in work until its charge comes; of usage that comes again, the first."""
        request_id: RequestId = usage.record.request_id  # type: ignore[attr-defined]
        if request_id not in part.unposted:
            part.unposted[request_id] = usage
            self._work.hold(usage)

    def _apply(self, record: Record, part: _Partition, now: int) -> bool:
        """Takes in a fact of the ledger, or usage; True for usage whose charge has not come yet."""
        if isinstance(record, UsageRecorded):
            return self._ended(record, part)
        if isinstance(record, ChargePosted):
            for fact in (record.balance, record.spent):
                if fact:
                    self._apply(fact, part, now)
            if record.balance:
                self._owner(part, record.balance.owner).budget.charged(record.charge_id, now)
            waiting = part.unposted.pop(record.charge_id, None)
            if waiting:
                self._work.finish(waiting)
        elif isinstance(record, BalanceChanged | MemberSpent):
            self._balances.apply(record)
            live = part.owners.get(record.owner)
            if live and isinstance(record, BalanceChanged):
                live.budget.balance_is(record.balance_microdollars, record.version)
            elif live and isinstance(record, MemberSpent):
                live.budget.spent_is(record.account_id, record.day, record.spent_microdollars)
        return False

    def _ended(self, usage: UsageRecorded, part: _Partition) -> bool:
        if not usage.caller.account_id or usage.free:
            return False
        owner, (cost, _) = self._owner(part, usage.caller.owner), cost_of(usage)
        owner.throttle.ended(usage.request_id, usage.tokens.input_tokens + usage.tokens.output_tokens)
        owner.budget.ended(usage.request_id, cost, account_id=usage.caller.account_id, at_ms=usage.accepted_at_ms)
        return owner.budget.unposted(usage.request_id)

    def _owner(self, part: _Partition, name: str) -> Owner:
        owner = part.owners.get(name)
        if owner is None:
            owner = part.owners[name] = Owner()
            self._balances.give(name, owner.budget)
        return owner

    def _decide(self, request: RequestAccepted, part: _Partition, now: int) -> QuotaReserved:
        known = part.decided.get(request.request_id)
        if known:
            return known[0]
        owner = request.caller.owner
        offer = self._catalog.find(request.model)
        if offer is None:
            # Policy's words: which of the two refusals the client gets is a matter of milliseconds.
            unknown = check(request.model, self._catalog, None)
            refusal = Refusal(status=unknown.status, message=unknown.message)
            decision = reserved(request, refusal=refusal)
        else:
            byok = any(
                credential_id(owner, one.provider_id) in self._credentials for one in self._catalog.open_to(request)
            )
            organization = request.caller.organization_id
            policy = self._policies.get(organization) if organization else None
            decision = decide(self._owner(part, owner), request, self._rules, policy, byok=byok, now_ms=now)
        part.decided[request.request_id] = (decision, now)
        return decision

    def _admit(self, request: RequestAccepted, part: _Partition, offset: int) -> QuotaReserved:
        """The verdict on a request for a free model."""
        window = part.windows.get(request.subject)
        if window is None:
            window = part.windows[request.subject] = Window()
        verdict = admit(window, self._limit, at_ms=request.accepted_at_ms, offset=offset)
        reset_s = -(-verdict.reset_ms // 1000)
        state = QuotaWindow(
            name=self._limit.name,
            limit=self._limit.count,
            window_s=self._limit.window_ms // 1000,
            remaining=max(0, verdict.remaining),
            reset_s=reset_s,
        )
        refusal = None
        if not verdict.admitted:
            refusal = Refusal(
                status=429,
                message=f"Free models answer {self._limit.count} requests an hour to one address; "
                f"try again in {reset_s} s, or use a model that is paid for.",
                retry_after_s=max(1, reset_s),
            )
        return reserved(request, refusal=refusal, windows=[state])

    def _state(self, subject: str, partition: int) -> QuotaStateSaved:
        window = self._partitions[partition].windows[subject]
        return QuotaStateSaved(
            subject=subject,
            applied_offset=window.applied_offset,
            admissions=[
                Admission(at_ms=at_ms, offset=offset)
                for at_ms, offset in zip(window.times_ms, window.offsets, strict=True)
            ],
        )
