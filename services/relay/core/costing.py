"""The cost that a client is shown is the cost that the ledger will have. Pure."""

from collections.abc import Sequence

from contracts.prices import Price
from contracts.quantities import Quantity
from contracts.usage import TokenUsage
from libs.chat.surfaces.costs import CostDetails, Costs
from libs.pricing.charging import cost_in
from libs.pricing.cost import MILLION, cost_microdollars


def costs(
    tokens: TokenUsage,
    quantities: Sequence[Quantity],
    price: Price | None,
    *,
    byok: bool,
    free: bool,
    percent: int = 100,
) -> Costs:
    """``cost``, ``is_byok`` and ``cost_details``, in USD, as OpenRouter's ``usage`` has them.

    With a user's own key the cost is 0, and the details say what the provider asks by the configured prices.

    Args:
        percent: that is charged, of an answer of the cache.
    """
    cost = cost_in(tokens, quantities, price, byok=byok, free=free).microdollars
    details: CostDetails = {"upstream_inference_cost": None}
    if price is not None and not free:
        prompt = tokens.model_copy(
            update={"output_tokens": 0, "reasoning_tokens": 0, "output_image_tokens": 0, "output_audio_tokens": 0}
        )
        whole = cost_microdollars(price, tokens, quantities)
        of_prompt = min(cost_microdollars(price, prompt), whole)
        details = {
            "upstream_inference_cost": whole / MILLION if byok else None,
            "upstream_inference_prompt_cost": of_prompt / MILLION,
            "upstream_inference_completions_cost": (whole - of_prompt) / MILLION,
        }
    return {"cost": cost * percent // 100 / MILLION, "is_byok": byok, "cost_details": details}
