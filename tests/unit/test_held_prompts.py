"""What the prompts of running attempts take of a relay is bounded: by what Python makes of them, and by owner."""

import asyncio
from typing import Any, cast

from contracts.attempts import AttemptEnded
from contracts.prompts import PromptSubmitted
from contracts.replies import ReplyEnded
from services.relay.attempts import FULL, Attempts
from services.relay.core.holding import MOST_HELD_BYTES
from tests.unit.bus import PromptLog
from tests.unit.ownership import Owner
from tests.unit.records import echo_versions, request_id, route

NOT_NEEDED = cast("Any", None)


def _attempts(log: PromptLog) -> Attempts:
    return Attempts(log, NOT_NEEDED, echo_versions(), NOT_NEEDED, NOT_NEEDED, Owner("relay-1", log))


async def test_a_prompt_that_would_be_more_than_an_owner_s_half_is_refused_before_it_is_read() -> None:
    log = PromptLog()
    attempts = _attempts(log)
    prompt = PromptSubmitted(request_id=request_id(1), content=b'{"messages":[%b[]]}' % (b"[]," * 10_000))
    # As many as there is room for, had each only its bytes.
    ended: list[int] = []
    assert attempts._held.take(route().subject, MOST_HELD_BYTES // 2 - 40 * len(prompt.content))
    await attempts.run(route(), prompt, "", lambda: ended.append(1))
    await attempts.drain(60, asyncio.Event())
    assert ended == [1]
    (attempt,) = [record for record in log.taken if isinstance(record, AttemptEnded)]
    (reply,) = [record for record in log.taken if isinstance(record, ReplyEnded)]
    assert (attempt.usage.status, attempt.usage.attempts, reply.refusal) == (503, 0, FULL)
