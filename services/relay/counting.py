"""What the answer of one route is booked with, and how fast its model was."""

import time
from collections.abc import Sequence

from contracts.record import Refusal
from contracts.routes import RoutePlanned, Target
from contracts.usage import EstimatedFrom, TokenUsage, added
from libs.chat.providers.answers import Exchange, Stream
from libs.config.providers import Provider
from services.relay.core.estimating import Paces, from_text, may_have_billed, passes
from services.relay.core.tally import Tally
from services.relay.parts import Part

Counted = tuple[TokenUsage, EstimatedFrom | None]
"""The tokens, and what they were estimated from; None: the provider counted."""


_DEAREST: tuple[EstimatedFrom, ...] = ("time", "bounds")


def _of_part(request: RoutePlanned, part: Exchange, count: int) -> RoutePlanned:
    """The request as if it were one of so many parts, whose input has no more tokens than bytes."""
    most = min(len(part.outgoing.content), request.input_tokens_most), request.output_tokens_most // count
    return request.model_copy(update={"input_tokens_most": most[0], "output_tokens_most": most[1]})


class Counting:
    """Counts for one route; paces and tally are the relay's."""

    def __init__(self, route: RoutePlanned, paces: Paces, tally: Tally, before: TokenUsage | None = None) -> None:
        """
        Args:
            before: of calls that this one goes on with: estimates, and so is any sum with them.
        """
        self._before = before
        self._route = route
        self._paces = paces
        self._tally = tally

    def tokens(self, call: Exchange, usage: TokenUsage | None, delivered_bytes: int) -> Counted:
        """The provider's counts, or the usual ones of what was delivered."""
        if self._before is not None:
            return added(self._before, usage or from_text(self._route, delivered_bytes)), "text"
        if usage is not None:
            return usage, None
        if call.quantities():
            return TokenUsage(), None
        return from_text(self._route, delivered_bytes), "text"

    def of_none(self) -> Counted:
        """Where no provider was called now."""
        return (self._before, "text") if self._before is not None else (TokenUsage(), None)

    def of_left(
        self, call: Exchange, parts: Sequence[Part], target: Target, provider: Provider | None, worked_s: float
    ) -> Counted:
        """Of an answer that its client left: what the provider can have billed; see `may_have_billed`.

        Args:
            parts: of a request that is several calls, those that have begun.
        """
        request = self._route
        unseen = not request.stream or bool(provider and provider.may_think)
        pace = self._paces.of(target.provider_id, target.upstream_model)

        def billed(one: Exchange, seconds: float) -> tuple[TokenUsage, EstimatedFrom]:
            return may_have_billed(
                request if call.parts is None else _of_part(request, one, call.parts.count),
                one.stream.usage,
                delivered_bytes=one.stream.delivered_bytes,
                worked_s=seconds,
                unseen=unseen,
                pace=pace,
            )

        if call.parts is None:
            tokens, estimated_from = billed(call, worked_s)
            return added(self._before or TokenUsage(), tokens), estimated_from
        counted: list[Counted] = []
        for part in parts:
            ended = part.usage if part.ended else None
            counted.append((ended, None) if ended else billed(part.exchange, time.monotonic() - part.began_s))
        sources = {source for _, source in counted}
        return added(*(tokens for tokens, _ in counted)), next((one for one in _DEAREST if one in sources), None)

    def of_refused(self, parts: Sequence[Part], refusal: Refusal) -> TokenUsage:
        """Of several calls of which the provider refused one: what the others used, if the client is the reason."""
        if refusal.status == 429 or not 400 <= refusal.status < 500:
            return TokenUsage()
        return added(*(used for part in parts if part.ended and (used := part.usage)))

    def note_whole(self, target: Target, tokens: TokenUsage, seconds: float) -> None:
        """An answer that came whole was counted by its provider."""
        self._paces.note(target.provider_id, target.upstream_model, tokens.output_tokens, seconds)

    def note_streamed(self, target: Target, tokens: TokenUsage, *, first_byte_ms: int, seconds: float) -> None:
        """The same of a stream.

        Args:
            seconds: from its first byte to its end.
        """
        self._paces.note(target.provider_id, target.upstream_model, tokens.output_tokens, seconds)
        if not target.grant.byok:
            self._tally.streamed(
                target.provider_id,
                target.upstream_model,
                first_byte_ms=first_byte_ms,
                output_tokens=tokens.output_tokens,
                seconds=seconds,
            )

    def too_long(self, target: Target, answer: Stream) -> Refusal | None:
        """The provider does not hold to the limit that it was given: what it sends on, nobody has reserved."""
        most = self._route.output_tokens_most
        if self._route.reserved_microdollars is None or target.grant.byok or not most:
            return None
        counted = answer.usage.output_tokens if answer.usage else 0
        if not passes(most, counted=counted, delivered_bytes=answer.delivered_bytes):
            return None
        return Refusal(
            status=502,
            message=f"{target.provider_id} sent far more than the {most} tokens that were asked for; it was stopped.",
        )
