"""What has been decided and may not be on the log yet: it is published again until it is."""

from dataclasses import dataclass

from contracts import topics
from contracts.decisions import QuotaReserved
from contracts.quota import QuotaStateSaved
from contracts.requests import RequestAccepted
from libs.bus.processor import Work
from libs.bus.records import Received
from libs.telemetry.instruments import count_decision
from libs.telemetry.tracing import Step
from services.rate_limit.partition import Partitions


@dataclass(frozen=True, slots=True)
class _Verdict:
    decision: QuotaReserved
    traceparent: str
    waited: Received[RequestAccepted] | None


class Unpublished:
    """Verdicts, and the states from which a successor would come to the same."""

    def __init__(self, work: Work, partitions: Partitions) -> None:
        self._work = work
        self._partitions = partitions
        self._windows: dict[tuple[int, str], str] = {}
        self._verdicts: dict[str, _Verdict] = {}

    def window(self, partition: int, subject: str, traceparent: str) -> None:
        """A free window has changed."""
        self._windows[partition, subject] = traceparent

    def give(
        self, decision: QuotaReserved, traceparent: str, *, waited: Received[RequestAccepted] | None = None
    ) -> None:
        """A verdict.

        Args:
            waited: the record of a request that waited; it stays in work until the verdict is on the log.
        """
        self._verdicts[decision.request_id] = _Verdict(decision, traceparent, waited)

    async def publish(self) -> None:
        """Publishes all of it, states before verdicts, so that none is forgotten.

        Raises:
            KafkaError: the broker has not taken it; the next call publishes it again.
        """
        for (number, subject), traceparent in self._windows.items():
            window = self._partitions[number].window(subject)
            state = QuotaStateSaved(subject=subject, applied_offset=window.applied_offset, admissions=window.admissions)
            await self._work.publish(topics.QUOTA_STATE, state, traceparent)
        for part in self._partitions.values():
            for owner, scope in part.unsaved:
                await self._work.publish(topics.METERS, part.book(owner).saved(scope))
        await self._work.settle()
        self._windows.clear()
        for part in self._partitions.values():
            part.unsaved.clear()
        for verdict in self._verdicts.values():
            step = Step("rate-limit reserve", verdict.traceparent)
            refusal = verdict.decision.refusal
            count_decision("rate-limit", refusal)
            step.note_refusal(refusal)
            await self._work.publish(topics.QUOTA_DECISIONS, verdict.decision, step.traceparent)
            step.end()
        await self._work.settle()
        for verdict in self._verdicts.values():
            if verdict.waited:
                self._work.finish(verdict.waited)
        self._verdicts.clear()
