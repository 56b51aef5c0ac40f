"""What a call goes on with: a stream that was cut. Pure."""

from dataclasses import dataclass

from contracts.usage import TokenUsage
from libs.chat.continuing.cut import Cut
from libs.chat.continuing.exchange import going_on
from libs.chat.providers.answers import Exchange
from libs.config.providers import Continues


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a call goes on with."""

    cut: Cut
    continues: Continues
    size: int
    """Bytes of the stream that are there."""
    last: str
    """Its last events."""
    call: int
    tried: list[str]
    upstream_ms: int
    before: TokenUsage
    """What the calls before it are counted with."""
    response_id: str | None
    """Of a response of Responses."""

    def joined(self, exchange: Exchange) -> Exchange:
        """The exchange of the call that goes on, as the stream's client is to see it."""
        return going_on(exchange, self.cut, self.continues)
