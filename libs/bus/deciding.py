"""What policy, rate-limit and key-vault have in common: requests in, one decision each out, side by side."""

from collections.abc import Callable

from contracts import topics
from contracts.decisions import Decision
from contracts.requests import RequestAccepted
from libs.bus.consumer import Batch
from libs.bus.producer import Producer, settle
from libs.bus.received import Received
from libs.telemetry.tracing import Step


async def publish_decisions(
    producer: Producer, batch: Batch, step_name: str, decide: Callable[[Received[RequestAccepted]], Decision]
) -> None:
    """Decides every request of a batch and waits until the log has the decisions.

    Args:
        step_name: the span of each decision.
        decide: the service's core. It must give the same answer for the same record again.

    Raises:
        KafkaError: a decision may be missing on the log; deciding again is safe.
    """
    sent = []
    for received in batch:
        request = received.record
        assert isinstance(request, RequestAccepted)
        step = Step(step_name, received.traceparent)
        decision = decide(received)  # type: ignore[arg-type]
        if decision.refusal:
            step.note({"sluice.refusal.status": decision.refusal.status})
        kind = type(decision).__name__
        sent.append(
            await producer.send(
                topics.DECISIONS,
                decision,
                key=request.subject,
                event_id=f"{request.request_id}/{kind}",
                subject=request.request_id,
                traceparent=step.traceparent,
                reply_to=request.reply_to.encode(),
            )
        )
        step.end()
    await settle(sent)
