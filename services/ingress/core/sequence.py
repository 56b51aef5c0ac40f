"""The pieces of one stream in order. Pure.

Each says how many bytes came before it, so what comes twice is known by its number, and so is what is missing.
"""

from contracts.replies import Reply, ReplyChunk


class MissingBytesError(Exception):
    """A piece begins after the end of what came before."""


class Sequence:
    """What has come of one stream."""

    __slots__ = ("_call", "end")

    def __init__(self, at: int = 0) -> None:
        """
        Args:
            at: so many bytes are not wanted any more.
        """
        self.end = at
        """Bytes that have come."""
        self._call = 0

    def is_old(self, record: Reply) -> bool:
        """It is of a call that another one has taken the place of: it is not the stream's any more."""
        if record.call < self._call:
            return True
        self._call = record.call
        return False

    def take(self, chunk: ReplyChunk) -> ReplyChunk | None:
        """The chunk, or what of it is new; None where nothing is.

        Raises:
            MissingBytesError: the log has more before it.
        """
        if chunk.at == self.end:
            self.end = chunk.end
            return chunk
        if chunk.at > self.end:
            raise MissingBytesError
        if chunk.end <= self.end:
            return None
        rest = chunk.content[self.end - chunk.at :]
        chunk = chunk.model_copy(update={"at": self.end, "content": rest})
        self.end = chunk.end
        return chunk
