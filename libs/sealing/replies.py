"""The records of a kept answer, sealed and open. What says nothing of its content stays open."""

from base64 import b64decode, b64encode

from pydantic_core import from_json, to_json

from contracts.replies import Reply, ReplyChunk, ReplyEnded
from libs.sealing.hybrid import SealError
from libs.sealing.kept import seal, unseal


def seal_chunk(chunk: ReplyChunk, key: bytes) -> ReplyChunk:
    """The chunk as it lies on the log. Its number, and those that follow, count bytes as the client gets them."""
    return chunk.model_copy(update={"content": seal(chunk.content, key, chunk.event_id)})


def seal_ended(ended: ReplyEnded, key: bytes) -> ReplyEnded:
    """The end of an answer as it lies on the log."""
    if ended.body is None and ended.tail is None:
        return ended
    sealed = seal(to_json([ended.body, ended.tail]), key, ended.event_id)
    return ended.model_copy(update={"body": None, "tail": None, "sealed": b64encode(sealed).decode()})


def open_reply(reply: Reply, key: bytes) -> Reply:
    """Inverse of both.

    Raises:
        SealError: it was sealed with another key, or was changed.
    """
    if isinstance(reply, ReplyChunk):
        return reply.model_copy(update={"content": unseal(reply.content, key, reply.event_id)})
    if not isinstance(reply, ReplyEnded) or not reply.sealed:
        return reply
    try:
        body, tail = from_json(unseal(b64decode(reply.sealed), key, reply.event_id))
    except ValueError:
        raise SealError("it does not open") from None
    return reply.model_copy(update={"body": body, "tail": tail, "sealed": ""})
