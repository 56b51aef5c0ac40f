"""An answer of the cache on its way to the client: as a stream, if that is how it came."""

from collections.abc import Callable, Iterator

from contracts.clock import now_ms
from contracts.replies import Outcome
from services.relay.answer_cache import Hit
from services.relay.core.ending import Ending
from services.relay.reply_stream import ReplyStream

PIECE = 16 * 1024
"""Characters that are written at once, at the least."""


def pieces(events: str) -> Iterator[str]:
    """Some whole events each: the stream numbers them. The tail has its numbers, which are the same."""
    begin = 0
    while begin < len(events):
        end = events.find("\n\n", begin + PIECE)
        end = len(events) if end < 0 else end + 2
        yield events[begin:end]
        begin = end


async def replay(hit: Hit, stream: ReplyStream, *, cost_percent: int, stopped: Callable[[], Outcome | None]) -> Ending:
    """Gives an answer again.

    Args:
        cost_percent: see `contracts.usage.UsageRecorded.cached_percent`.
        stopped: as what the client or the relay has ended it meanwhile.
    """
    answer = hit.answer
    age_s = max(0, now_ms() - answer.cached_at_ms) // 1000
    stream.provider_id, stream.model, stream.cached_s = answer.provider_id, answer.model, age_s
    for piece in pieces(answer.events):
        stream.write(piece)
        await stream.drain()
    await stream.close()
    cancelled = stopped() is Outcome.CANCELLED
    return Ending(
        Outcome.CANCELLED if cancelled else Outcome.COMPLETED,
        status=499 if cancelled else 200,
        body=None if cancelled else answer.body,
        content_type=answer.content_type,
        tail=None if cancelled else answer.tail or None,
        size=stream.size,
        tokens=answer.tokens,
        quantities=answer.quantities,
        attempts=0,
        target=hit.target,
        cached_s=age_s,
        cached_percent=cost_percent,
    )
