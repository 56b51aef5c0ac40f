"""How a call ends, for the books and for the client: from what has become of it to its `Ending`."""

from contracts.record import JSON, Refusal
from contracts.replies import Outcome
from contracts.usage import TokenUsage
from libs.chat.providers.answers import Exchange
from libs.chat.surfaces import costs
from libs.chat.surfaces.registry import DIALECTS
from libs.endpoints.registry import ENDPOINTS
from libs.policy.answers import AnswerRefused
from libs.pricing.tiers import at_tier
from services.relay.called import Called
from services.relay.core.costing import costs as priced
from services.relay.core.ending import Ending, failed
from services.relay.counting import Counted

CANCELLED = Refusal(status=499, message="The answer was cancelled; what came before is all there is.")
STOPPED = Refusal(
    status=503, message="The gateway is being restarted; what came before is all there is.", retry_after_s=1
)


def whole(called: Called, call: Exchange, data: bytes) -> Ending:
    """An answer that was not streamed. Raises ProtocolError, ProviderFailure."""
    answer, counting, stream = call.whole(data), called.counting, called.client.stream
    tokens, estimated_from = counting.tokens(call, answer.usage, answer.delivered_bytes)
    try:
        text = answer.body(tokens if estimated_from else None)
    except AnswerRefused as refused:
        ending = failed(_refusal_of(refused))
        ending.tokens, ending.quantities = tokens, list(call.quantities())
        ending.estimated_from, ending.first_byte_ms = estimated_from, called.first_byte_ms
        return ending
    text = _with_costs(called, call, text, tokens)
    if not estimated_from:
        counting.note_whole(called.target, tokens, called.worked_s)
    return Ending(
        Outcome.COMPLETED,
        body=None if call.unstreamed else text,
        tail=stream.tail(text) if call.unstreamed else None,
        content_type=call.content_type or JSON,
        tokens=tokens,
        quantities=list(call.quantities()),
        estimated_from=estimated_from,
        first_byte_ms=called.first_byte_ms,
    )


async def streamed(called: Called, call: Exchange, counted: Counted, last: str) -> Ending:
    """A stream that has come to its end.

    Args:
        last: its last events.
    """
    (tokens, estimated_from), stream = counted, called.client.stream
    tail = _with_costs(called, call, last, tokens)
    await stream.close()
    if not estimated_from and called.first_byte_ms is not None:
        seconds = called.worked_s - called.first_byte_ms / 1000
        called.counting.note_streamed(called.target, tokens, first_byte_ms=called.first_byte_ms, seconds=seconds)
    return Ending(
        Outcome.COMPLETED,
        tail=stream.tail(tail),
        size=stream.size,
        tokens=tokens,
        quantities=list(call.quantities()),
        estimated_from=estimated_from,
        first_byte_ms=called.first_byte_ms,
    )


async def against_a_rule(called: Called, call: Exchange, refused: AnswerRefused) -> Ending:
    """A stream that breaks a rule of the client's organization. The provider bills what it wrote."""
    ending = await broken(called, _refusal_of(refused))
    ending.tokens, ending.estimated_from = called.counted
    ending.quantities = list(call.quantities())
    return ending


async def broken(called: Called, refusal: Refusal) -> Ending:
    """An error before the first byte is the status; after it, the stream's last event."""
    ending, client, call = failed(refusal), called.client, called.exchange
    ending.first_byte_ms = called.first_byte_ms
    if client.stream.started:
        await client.stream.close()
        ending.size = client.stream.size
        if isinstance(client.sent, str):
            error_event = DIALECTS[called.job.route.surface].error_event
            ending.tail = client.stream.tail(error_event(refusal.message, refusal.status, client.sent))
        ending.tokens, ending.estimated_from = called.counted
        ending.quantities = list(call.quantities()) if call else []
    elif call is not None:
        ending.tokens = call.stream.usage or called.counting.of_refused(called.parts, refusal)
    return ending


async def stopped(called: Called, outcome: Outcome, whole: Ending | None) -> Ending:
    """The client (CANCELLED) or the relay (INTERRUPTED) ends it.

    Args:
        whole: the answer came to its end all the same.
    """
    if whole is not None:
        if outcome is Outcome.CANCELLED:
            whole.outcome, whole.status, whole.body, whole.tail = outcome, 499, None, None
        return whole
    ending = await broken(called, CANCELLED if outcome is Outcome.CANCELLED else STOPPED)
    ending.outcome = outcome
    if outcome is Outcome.CANCELLED:
        ending.status, ending.refusal = 499, None
    call = called.exchange
    if called.at_s and call:
        # The provider has worked on the prompt, whether or not a byte came back.
        ending.quantities = list(call.quantities())
        if outcome is Outcome.CANCELLED and not ending.quantities:
            provider = called.job.provider_of(called.target)
            counted = called.counting.of_left(call, called.parts, called.target, provider, called.worked_s)
            ending.tokens, ending.estimated_from = counted
        elif call.stream.usage is None:
            ending.tokens, ending.estimated_from = called.counted
    return ending


def _with_costs(called: Called, call: Exchange, text: str, tokens: TokenUsage) -> str:
    """The answer, or the end of its stream, with what it costs, if its client asked for that."""
    job, at = called.job, called.target
    if not text or job.route.surface in ENDPOINTS or not costs.are_wanted(job.prompt.body):
        return text
    quantities, price = list(call.quantities()), at_tier(job.price_of(at), call.tier())
    return costs.with_costs(text, priced(tokens, quantities, price, byok=at.grant.byok, free=job.route.free))


def _refusal_of(refused: AnswerRefused) -> Refusal:
    return Refusal(status=403, message=str(refused), metadata={"rule": refused.rule})
