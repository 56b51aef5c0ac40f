"""A connection that the broker has closed is a broken one, on uvloop too.

asyncio's transports take what is written after the end; uvloop's raise RuntimeError, and aiokafka expects OSError only
(its issue 1038, open in 0.14). The error ends whichever of a client's tasks was writing, without a word: without the
one that updates metadata, everybody who asks for an update waits for ever, and a consumer never joins its group again.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def _send_or_break(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
    try:
        return _send(connection, *arguments, **options)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the broker closed the connection: {error}") from None


def closed_is_broken() -> None:
    """From now on this process's Kafka clients connect again where a connection has ended under them."""
    AIOKafkaConnection.send = _send_or_break
