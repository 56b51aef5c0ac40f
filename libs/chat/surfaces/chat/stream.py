"""Streams of OpenAI's chat completions: chunks as they are. Sans-I/O."""

from libs.chat.shapes.completion import Chunk
from libs.chat.surfaces.reasoning import with_thoughts_named
from libs.chat.surfaces.writer import data_event

DONE = "[DONE]"


class ChatWriter:
    """Chunks as they are; the usage, if it is wanted, then ``[DONE]``, at the end."""

    def __init__(self, *, usage: bool, named: bool = False) -> None:
        """
        Args:
            usage: a chunk of usage is wanted.
            named: thoughts are wanted as ``reasoning``, too.
        """
        self._usage = usage
        self._named = named

    def chunk(self, chunk: Chunk) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return data_event(with_thoughts_named(chunk) if self._named else chunk)

    def finish(self, tail: Chunk | None) -> str:
        """See `libs.chat.surfaces.writer.Writer`."""
        return (data_event(tail) if tail and self._usage else "") + f"data: {DONE}\n\n"
