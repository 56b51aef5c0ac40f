"""Records in, records out: keeps windows per partition, and their changelog."""

from collections import defaultdict

from contracts import topics
from contracts.clock import now_ms
from contracts.decisions import QuotaReserved, QuotaWindow
from contracts.quota import Admission, QuotaStateSaved
from contracts.record import Refusal
from contracts.requests import RequestAccepted
from libs.bus.consumer import Batch, Partitions
from libs.bus.dead_letters import DeadLetters
from libs.bus.deciding import publish_decisions
from libs.bus.producer import Acknowledgement, Producer, settle
from libs.bus.reading import read_to_end
from libs.bus.received import PoisonError, Received, parse
from libs.bus.settings import BusSettings
from services.rate_limit.windows import Limit, Window, admit, expired

FORGET_EVERY_MS = 60_000


class QuotaHandlers:
    """The windows of all subjects whose partitions this instance owns."""

    def __init__(self, settings: BusSettings, producer: Producer, dead_letters: DeadLetters, free_limit: Limit) -> None:
        self._settings = settings
        self._producer = producer
        self._dead_letters = dead_letters
        self._limit = free_limit
        self._windows: dict[int, dict[str, Window]] = defaultdict(dict)
        self._forgot_at_ms = now_ms()

    async def assigned(self, partitions: Partitions) -> None:
        """Loads the changelog of the partitions now owned, before their first decision."""
        owned = partitions[topics.REQUESTS]
        self._windows = defaultdict(dict)
        now = now_ms()
        async for raw in read_to_end(self._settings, topics.QUOTA_STATE, partitions=owned):
            if raw.value is None:
                self._windows[raw.partition].pop(raw.key.decode(), None)
                continue
            try:
                state = parse(raw).record
            except PoisonError as error:
                self._dead_letters.bury_soon(raw, str(error))
                continue
            assert isinstance(state, QuotaStateSaved)
            window = Window(applied_offset=state.applied_offset)
            window.times_ms.extend(admission.at_ms for admission in state.admissions)
            window.offsets.extend(admission.offset for admission in state.admissions)
            if not expired(window, self._limit, now):
                self._windows[raw.partition][state.subject] = window

    async def handle(self, batch: Batch) -> None:
        """Decides a batch. The changelog is on the log before the decisions are, so that none is forgotten."""
        await self._forget_idle(now_ms())
        changed: dict[str, Received[RequestAccepted]] = {}
        decisions: dict[str, QuotaReserved] = {}
        for received in batch:
            request = received.record
            assert isinstance(request, RequestAccepted)
            decision, counted = self._decide(request, received.partition, received.offset)
            decisions[request.request_id] = decision
            if counted:
                changed[request.subject] = received  # type: ignore[assignment]
        await settle([await self._save(received) for received in changed.values()])
        await publish_decisions(
            self._producer, batch, "rate-limit reserve", lambda received: decisions[received.record.request_id]
        )

    async def _forget_idle(self, now: int) -> None:
        """Drops windows in which nothing counts any more, here and in the changelog: memory follows the active."""
        if now - self._forgot_at_ms < FORGET_EVERY_MS:
            return
        self._forgot_at_ms = now
        sent = []
        for partition, windows in self._windows.items():
            for subject in [subject for subject, window in windows.items() if expired(window, self._limit, now)]:
                del windows[subject]
                sent.append(
                    await self._producer.send_raw(
                        topics.QUOTA_STATE.name, None, key=subject.encode(), headers=[], partition=partition
                    )
                )
        await settle(sent)

    def _decide(self, request: RequestAccepted, partition: int, offset: int) -> tuple[QuotaReserved, bool]:
        if not request.free:
            return QuotaReserved(request_id=request.request_id), False
        windows = self._windows[partition]
        window = windows.get(request.subject)
        if window is None:
            window = windows[request.subject] = Window()
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
        window = self._windows[received.partition][request.subject]
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
