"""Records in, records out: keeps the state of each partition that this instance owns."""

from collections import defaultdict
from collections.abc import AsyncIterator, Container, Mapping
from dataclasses import dataclass, field

from contracts import topics
from contracts.charges import ChargePosted
from contracts.clock import now_ms
from contracts.control import PolicySet
from contracts.credit import BalanceChanged, MemberSpent
from contracts.decisions import QuotaReserved, QuotaWindow
from contracts.headers import TYPE, TYPE_PREFIX, header
from contracts.quota import Admission, QuotaStateSaved
from contracts.record import Record, Refusal, RequestId
from contracts.requests import RequestAccepted
from contracts.topics import Topic
from contracts.usage import UsageRecorded
from libs.bus.consumer import Batch, Consumer, Partitions
from libs.bus.dead_letters import DeadLetters
from libs.bus.deciding import publish_decisions
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.received import Received
from libs.bus.settings import BusSettings
from libs.config.catalog import Catalog
from libs.policy.rules import check
from libs.pricing.charging import cost_of
from libs.sealing.credentials import credential_id
from services.rate_limit.core.balances import Balances
from services.rate_limit.core.budget import day_of
from services.rate_limit.core.spending import Owner, Rules, decide, scopes, take
from services.rate_limit.core.windows import Limit, Window, admit, expired

FORGET_EVERY_MS = 60_000
AGAIN_WITHIN_MS = 60_000
"""A request that was decided comes again so soon, or (after a crash) its decision is on the log."""
_DECISION = TYPE_PREFIX + QuotaReserved.__name__


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


class QuotaHandlers:
    """All subjects whose partitions this instance owns. Set `consumer` before it starts."""

    consumer: Consumer

    def __init__(
        self,
        settings: BusSettings,
        producer: Producer,
        dead_letters: DeadLetters,
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
        self._settings = settings
        self._producer = producer
        self._dead_letters = dead_letters
        self._rules = rules
        self._limit = Limit("free", rules.limits.free_requests, rules.limits.free_window_s * 1000)
        self._catalog = catalog
        self._policies = policies
        self._credentials = credentials
        self._keep_ms = keep_ms
        self._partitions: dict[int, _Partition] = defaultdict(_Partition)
        # Not cleared with the partitions: where the broker lost its log, what was known holds until it is told anew.
        self._balances = Balances()
        self._forgot_at_ms = now_ms()

    async def assigned(self, partitions: Partitions) -> None:
        """Loads what the partitions now owned must know, before their first decision."""
        owned = partitions[topics.REQUESTS]
        self._partitions = defaultdict(_Partition)
        now = self._forgot_at_ms = now_ms()
        async for record, number in self._read(topics.QUOTA_STATE, owned):
            self._load_window(record, self._partitions[number], now)
        for topic in (topics.BALANCES, topics.SPENDING):
            async for record, number in self._read(topic, owned):
                self._told(record, self._partitions[number], now)
        since_ms = now - self._keep_ms
        async for record, number in self._read(topics.DECISIONS, owned, since_ms=since_ms, only=_DECISION):
            assert isinstance(record, QuotaReserved)
            part = self._partitions[number]
            part.on_log[record.request_id] = record
            if record.held:
                limits = scopes(record.held.owner, record.held.account_id, record.held.model, self._rules.limits)
                take(self._owner(part, record.held.owner), record.request_id, record.held, limits)
        # All that has ended and is not charged must be held before the first decision.
        begin_at = {number: self.consumer.begins_at(topics.USAGE, number) for number in owned}
        for topic, begins in ((topics.USAGE, begin_at), (topics.CHARGES, None)):
            async for record, number in self._read(topic, owned, since_ms=since_ms, begin_at=begins):
                self._told(record, self._partitions[number], now)

    async def _read(
        self,
        topic: Topic,
        owned: set[int],
        *,
        since_ms: int | None = None,
        begin_at: Mapping[int, int] | None = None,
        only: str | None = None,
    ) -> AsyncIterator[tuple[Record, int]]:
        """Records that can be read, with their partition; deletions of windows too."""
        async for raw in read_to_end(self._settings, topic, partitions=owned, since_ms=since_ms, begin_at=begin_at):
            if only and header(raw.headers, TYPE) != only:
                continue
            if raw.value is None:
                self._partitions[raw.partition].windows.pop(raw.key.decode(), None)
                continue
            record = self._dead_letters.read(raw)
            if record is not None:
                yield record, raw.partition

    def _load_window(self, state: Record, part: _Partition, now: int) -> None:
        assert isinstance(state, QuotaStateSaved)
        window = Window(applied_offset=state.applied_offset)
        window.times_ms.extend(admission.at_ms for admission in state.admissions)
        window.offsets.extend(admission.offset for admission in state.admissions)
        if not expired(window, self._limit, now):
            part.windows[state.subject] = window

    async def handle(self, batch: Batch) -> None:
        """Takes a batch in. The changelog is on the log before the decisions are, so that none is forgotten."""
        now = now_ms()
        await self._forget_idle(now)
        changed: dict[str, Received[RequestAccepted]] = {}
        decisions: dict[str, QuotaReserved] = {}
        requests: Batch = []
        for received in batch:
            part, record = self._partitions[received.partition], received.record
            if not isinstance(record, RequestAccepted):
                if self._told(record, part, now):
                    self._hold(received, part)
                continue
            if record.request_id in part.on_log:
                continue
            requests.append(received)
            if record.free:
                decisions[record.request_id], counted = self._admit(record, part, received.offset)
                if counted:
                    changed[record.subject] = received  # type: ignore[assignment]
            else:
                decisions[record.request_id] = self._decide(record, part, now)
        await settle([await self._save(received) for received in changed.values()])
        await publish_decisions(
            self._producer, requests, "rate-limit reserve", lambda received: decisions[received.record.request_id]
        )

    def _hold(self, usage: Received[Record], part: _Partition) -> None:
        """Keeps usage in work until its charge comes; of usage that is told again, the first."""
        request_id: RequestId = usage.record.request_id  # type: ignore[attr-defined]
        if request_id not in part.unposted:
            part.unposted[request_id] = usage
            self.consumer.hold(usage)

    def _told(self, record: Record, part: _Partition, now: int) -> bool:
        """Takes in a fact of the ledger, or usage; True for usage whose charge has not come yet."""
        if isinstance(record, UsageRecorded):
            return self._ended(record, part)
        if isinstance(record, ChargePosted):
            for fact in (record.balance, record.spent):
                if fact:
                    self._told(fact, part, now)
            if record.balance:
                self._owner(part, record.balance.owner).budget.charged(record.charge_id, now)
            waiting = part.unposted.pop(record.charge_id, None)
            if waiting:
                self.consumer.release(waiting)
        elif isinstance(record, BalanceChanged | MemberSpent):
            self._balances.told(record)
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
            # As policy says it: whose word the client gets is a matter of milliseconds.
            unknown = check(request.model, self._catalog, None)
            refusal = Refusal(status=unknown.status, message=unknown.message)
            decision = QuotaReserved(request_id=request.request_id, refusal=refusal)
        else:
            byok = any(
                credential_id(owner, one.provider_id) in self._credentials for one in self._catalog.open_to(request)
            )
            organization = request.caller.organization_id
            policy = self._policies.get(organization) if organization else None
            decision = decide(self._owner(part, owner), request, self._rules, policy, byok=byok, now_ms=now)
        part.decided[request.request_id] = (decision, now)
        return decision

    async def _forget_idle(self, now: int) -> None:
        """Drops what does not count any more, here and in the changelog: memory follows the active."""
        if now - self._forgot_at_ms < FORGET_EVERY_MS:
            return
        self._forgot_at_ms = now
        self._balances.forget(day_of(now - self._keep_ms))
        sent = []
        for number, part in self._partitions.items():
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
                sent.append(
                    await self._producer.send_raw(
                        topics.QUOTA_STATE.name, None, key=subject.encode(), headers=[], partition=number
                    )
                )
        await settle(sent)

    def _admit(self, request: RequestAccepted, part: _Partition, offset: int) -> tuple[QuotaReserved, bool]:
        """The verdict on a request for a free model, and whether it changed the window."""
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
        return QuotaReserved(request_id=request.request_id, refusal=refusal, windows=[state]), not verdict.again

    async def _save(self, received: Received[RequestAccepted]) -> Acknowledgement:
        request = received.record
        window = self._partitions[received.partition].windows[request.subject]
        state = QuotaStateSaved(
            subject=request.subject,
            applied_offset=window.applied_offset,
            admissions=[
                Admission(at_ms=at_ms, offset=offset)
                for at_ms, offset in zip(window.times_ms, window.offsets, strict=True)
            ],
        )
        return await self._producer.send(
            topics.QUOTA_STATE,
            state,
            key=request.subject,
            event_id=f"{request.subject}/{window.applied_offset}",
            subject=request.subject,
            traceparent=received.traceparent,
            partition=received.partition,
        )
