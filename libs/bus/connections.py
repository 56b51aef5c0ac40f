"""A connection that the broker has closed is a broken one, on uvloop too; and one that is silent is given up in time.

asyncio's transports take what is written after the end; uvloop's raise RuntimeError, and aiokafka expects OSError only
(its issue 1038, open in 0.14). The error ends whichever of a client's tasks was writing, without a word: without the
one that updates metadata, everybody who asks for an update waits for ever, and a consumer never joins its group again.

aiokafka has one time-out for all requests of a client, and a consumer's must be longer than its group's rebalance. So
a broker that stands still kept what was on its way to it for 20 to 40 s, although others had its partitions by then.
And it has one lock for new connections: who waits for the TLS of one that stands still (the kernel has taken the
connection for it) held up those to all others, until it woke. What this process stands still itself is not the broker's
silence (`libs.runtime.silence`): the answer is there, and not read yet.

Who leaves waits for the end of its connections, and TLS ends when both sides have said so. A broker that holds a fetch
reads nothing meanwhile: with TLS an ingress needed 17 s from SIGTERM to its end, a relay 9 s, nearly all of it so.
"""

import asyncio
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest

from libs.runtime.silence import Silence, SilenceTimer

ANSWER_WITHIN_S = 6.0
"""Longer than a broker's session with the controller should be (4 s, docs/operations.md): whoever takes its place is
known by then. What is sent again is not there twice (idempotent producers)."""
ELSEWHERE_WITHIN_S = 3.0
"""For a new connection, TLS and password included, and for questions that any other broker can answer as well, on a
connection that waits for nothing else: a broker answers in order, and may hold a fetch for 5 s."""
_PROMPT = frozenset(
    request.API_KEY
    for request in (
        FetchRequest,
        HeartbeatRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        OffsetRequest,
        ProduceRequest,
    )
)
"""Requests that a broker that is well answers at once; a fetch waits for records, but not for long."""
_FOR_ANY = frozenset((FindCoordinatorRequest.API_KEY, MetadataRequest.API_KEY))
_send = AIOKafkaConnection.send
_connect = AIOKafkaConnection.connect
_close = AIOKafkaConnection.close


def _send_or_break(connection: AIOKafkaConnection, request: Any, *arguments: Any, **options: Any) -> Any:
    busy = bool(connection._requests)
    try:
        answer = _send(connection, request, *arguments, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the broker closed the connection: {error}") from None
    if not options.get("expect_response", True):
        return answer
    if request.API_KEY in _PROMPT:
        return _in_time(connection, answer, ANSWER_WITHIN_S)
    if request.API_KEY in _FOR_ANY:
        return _in_time(connection, answer, ANSWER_WITHIN_S if busy else ELSEWHERE_WITHIN_S)
    return answer


def _in_time(connection: AIOKafkaConnection, answer: Any, within_s: float) -> Any:
    """In place of aiokafka's coroutine, whose time-out is too long: what it waits for, and one timer."""
    answer.close()
    _, _, waiting = connection._requests[-1]
    timer = SilenceTimer(lambda: _give_up(connection, waiting))
    timer.allow(within_s)
    waiting.add_done_callback(lambda _: timer.stop())
    return waiting


def _give_up(connection: AIOKafkaConnection, waiting: asyncio.Future[Any]) -> None:
    if waiting.done():
        return
    waiting.set_exception(TimeoutError())
    # Not all who wait here close it, and it would be silent for the next, too.
    connection.close(reason=CloseReason.CONNECTION_TIMEOUT)


async def _connect_in_time(connection: AIOKafkaConnection) -> Any:
    async with Silence(ELSEWHERE_WITHIN_S):
        return await _connect(connection)


def _close_at_once(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
    transport = connection._writer.transport if connection._writer and connection._requests else None
    closed = _close(connection, *arguments, **options)
    if transport and transport.get_extra_info("ssl_object"):
        transport.abort()
    return closed


def closed_is_broken() -> None:
    """From now on this process's Kafka clients connect again where a connection has ended, or is silent, and wait for
    nobody when they close one."""
    AIOKafkaConnection.send = _send_or_break
    AIOKafkaConnection.connect = _connect_in_time
    AIOKafkaConnection.close = _close_at_once
