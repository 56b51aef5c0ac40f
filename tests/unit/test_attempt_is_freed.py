"""An attempt that has ended goes at once, with its prompt; it does not wait for the garbage collector."""

import gc
import weakref
from typing import cast

from libs.bus.producer import Producer
from libs.config.gateway import Timeouts
from services.relay.answer_cache import AnswerCache
from services.relay.attempt import Attempt
from services.relay.beat import Beat
from services.relay.core.job import Job
from services.relay.core.key_uses import KeyUses
from services.relay.core.tally import Tally
from services.relay.grants import Grants
from services.relay.hooks import Hooks
from services.relay.means import Means
from services.relay.reply_stream import ReplyStream
from services.relay.servers import Servers
from services.relay.upstream import Upstreams
from tests.unit.records import echo_versions, prompt, route

TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


async def test_an_attempt_is_freed_by_its_last_reference() -> None:
    planned = route()
    job = Job(planned, prompt(), echo_versions().newest, None, TRACE)
    stream = ReplyStream(cast("Producer", None), Beat(), planned, [], TRACE)
    gc.disable()
    try:
        attempt = Attempt(job, stream, _means(), _is_ours)
        gone = weakref.ref(attempt)
        del attempt
        assert gone() is None
    finally:
        gc.enable()


async def _is_ours() -> bool:
    return True


def _means() -> Means:
    """What an attempt that calls nobody uses; the rest is not there."""
    return Means(
        grants=cast("Grants", None),
        upstreams=cast("Upstreams", None),
        tally=Tally(),
        key_uses=KeyUses("relay-1"),
        timeouts=Timeouts(),
        cache=cast("AnswerCache", None),
        servers=cast("Servers", None),
        hooks=cast("Hooks", None),
        list_s=1.0,
    )
