"""What the client of one stream has been given, as its records on the log say. Pure."""

from dataclasses import dataclass, field

from contracts.replies import EVENTS, Reply, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import CallableRequest
from contracts.usage import TokenUsage, added
from libs.chat.continuing.cut import Cut, NotPlainError
from libs.chat.continuing.exchange import take
from libs.chat.surfaces.registry import delivered_bytes
from libs.sealing.kept import SEAL_BYTES
from services.relay.core.estimating import USUAL_BYTES, from_text


@dataclass(slots=True)
class Delivered:
    """Takes in the records of one stream, in order; those that were read before change nothing."""

    sealed: bool = False
    """Nobody can read it any more; the books are to have its length."""
    cut: Cut | None = None
    """Takes in the events, too, as long as another call could go on with them."""
    size: int = 0
    text_bytes: int = 0
    last: str = ""
    """The last events."""
    started: ReplyStarted | None = None
    call: int = 0
    ended: bool = False
    _begins: list[int] = field(default_factory=lambda: [0])
    """How much text there was when each of its calls began."""

    def take(self, record: Reply) -> None:
        """The next record."""
        if record.call < self.call:
            return
        if isinstance(record, ReplyStarted):
            self.started = self.started or record
            if record.call > self.call:
                self.call = record.call
                self._begins.append(self.text_bytes)
        elif isinstance(record, ReplyEnded):
            self.ended = True
        elif record.at == self.size:
            self._grow(record)

    def _grow(self, chunk: ReplyChunk) -> None:
        self.size = chunk.end
        if self.sealed:
            self.size -= SEAL_BYTES
            self.text_bytes = self.size
        elif self.started and self.started.content_type == EVENTS:
            self.last = chunk.content.decode()
            self.text_bytes += delivered_bytes(self.last)
            if self.cut:
                try:
                    take(self.cut, self.last)
                except NotPlainError:
                    self.cut = None

    def counted(self, request: CallableRequest, *, taken: bool = False) -> TokenUsage:
        """What its calls have cost, at the usual rate: each that goes on is sent the prompt, and the text before it.

        Args:
            taken: the last one has not been made yet.
        """
        total, ends = TokenUsage(), [*self._begins[1:], self.text_bytes]
        begins = self._begins[:-1] if taken else self._begins
        for begin, end in zip(begins, ends, strict=False):
            call = from_text(request, end - begin)
            total = added(total, call, TokenUsage(input_tokens=-(-begin // USUAL_BYTES)))
        return total
