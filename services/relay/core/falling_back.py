"""Who is asked after a provider has failed. Pure.

Sources of the words: the error references of OpenAI (``context_length_exceeded``, ``content_filter``), Anthropic
("prompt is too long"), Google ("exceeds the maximum number of tokens"), Azure ("content management policy").
"""

import re
from collections.abc import Sequence

from contracts.record import Refusal
from contracts.routes import Target
from services.relay.core.tally import rests_s

_OF_MODEL = re.compile(
    r"context.{0,3}(length|window)|maximum (context|number of tokens)|(prompt|input) is too long|too many tokens"
    r"|content.{0,3}(filter|policy|management policy)|blocked by .{0,20}safety|responsible ai",
    re.IGNORECASE,
)


def after(refusal: Refusal, failed: Target, left: Sequence[Target]) -> list[Target]:
    """Those that are left to ask, nothing having been delivered; none where the request itself is wrong.

    A request that is too long for a model, or that its filter refuses, goes to other models alone: at another provider
    it would be no other.
    """
    if rests_s(refusal):
        return list(left)
    if refusal.status == 429 or refusal.status >= 500:
        # With another key it would be the same provider.
        return [target for target in left if (target.provider_id, target.model) != (failed.provider_id, failed.model)]
    if refusal.status in (400, 413) and _OF_MODEL.search(refusal.message):
        return [target for target in left if target.model != failed.model]
    return []
