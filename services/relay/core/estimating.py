"""Tokens of an answer whose counts never came. Pure.

Where the provider gave none, or broke off, prompt and text are counted at the usual rate. A client that leaves could
profit by that: providers bill what was generated, thoughts included. So its input counts with its bound, its output as
densely as text can be, and where the provider may have worked unseen, by time.
"""

from contracts.requests import CallableRequest
from contracts.usage import EstimatedFrom, TokenUsage

USUAL_BYTES = 4
"""Of a token in prose."""
DENSEST_BYTES = 2
"""Of a token in text that is hard on tokenizers: CJK and code of rare words; prose has about four."""
PACE = 100.0
"""Tokens a second of a model that has not been measured yet."""
SPARSEST_BYTES = 8
"""Of a token, on the average of an answer: prose and code have four to six."""
MARGIN = 1.25
SLACK_TOKENS = 256
_SHARE = 0.2


class Paces:
    """How many tokens a second each model generates: a moving mean of the answers that were counted."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], float] = {}

    def note(self, provider_id: str, model: str, tokens: int, seconds: float) -> None:
        """Takes in an answer whose tokens were counted; one that took no time says nothing."""
        if tokens > 0 and seconds > 0.05:
            before = self._paces.get((provider_id, model), tokens / seconds)
            self._paces[provider_id, model] = before + _SHARE * (tokens / seconds - before)

    def of(self, provider_id: str, model: str) -> float:
        """Tokens a second."""
        return self._paces.get((provider_id, model), PACE)


def from_text(request: CallableRequest, delivered_bytes: int) -> TokenUsage:
    """The usual count of the prompt and of what was delivered, rounded up."""
    # A form with files has more bytes than the model has tokens.
    read_bytes = min(request.prompt_bytes, USUAL_BYTES * request.input_tokens_most)
    return TokenUsage(input_tokens=-(-read_bytes // USUAL_BYTES), output_tokens=-(-delivered_bytes // USUAL_BYTES))


def may_have_billed(
    request: CallableRequest,
    known: TokenUsage | None,
    *,
    delivered_bytes: int,
    worked_s: float,
    unseen: bool,
    pace: float,
) -> tuple[TokenUsage, EstimatedFrom]:
    """The counts to book for an answer that its client left, at most what was held for it.

    Args:
        known: what the provider has counted so far, as some do with every chunk.
        worked_s: seconds since the provider was called.
        unseen: it may have generated what was not delivered: thoughts, or an answer that is sent whole.
        pace: tokens a second of this model.
    """
    counted = known or TokenUsage()
    delivered = -(-delivered_bytes // DENSEST_BYTES)
    generated = int(worked_s * pace) if unseen else 0
    output = min(max(delivered, generated), request.output_tokens_most)
    tokens = counted.model_copy(
        update={
            "input_tokens": counted.input_tokens or request.input_tokens_most,
            "output_tokens": max(output, counted.output_tokens),
        }
    )
    return tokens, "time" if generated > delivered else "bounds"


def passes(most_tokens: int, *, counted: int, delivered_bytes: int) -> bool:
    """An answer is certainly longer than its limit, by more than a margin for how providers count."""
    return max(counted, delivered_bytes // SPARSEST_BYTES) > most_tokens * MARGIN + SLACK_TOKENS
