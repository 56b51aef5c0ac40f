"""The pieces of one stream in order. Pure.

Each says how many bytes came before it, so what comes twice is known by its number, and so is what is missing.
"""

from contracts.replies import ReplyChunk


class MissingBytesError(Exception):
    """A piece begins after the end of what came before."""


class Sequence:
    """What has come of one stream."""

    __slots__ = ("end",)

    def __init__(self, at: int = 0) -> None:
        """
        Args:
            at: so many bytes are not wanted any more.
        """
        self.end = at
        """Bytes that have come."""

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
