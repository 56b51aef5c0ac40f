"""One request's books as its client asks for them. Pure.

Source of ``generation``: OpenRouter, "Get a generation" (``GET /api/v1/generation``).
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts.labels import Labels
from contracts.replies import Outcome
from contracts.requests import Caller
from contracts.usage import UsageRecorded
from libs.chat.surfaces.costs import PREFIX
from libs.pricing.charging import Cost
from libs.pricing.cost import MILLION
from libs.pricing.usd import usd

_SEE_ALL = frozenset({"owner", "billing_manager"})
NO_LABELS = Labels()


def request_id_of(text: str) -> UUID | None:
    """The request that an ID names, as ``x-request-id`` or an answer's ``gen-…`` has it; None: it names none."""
    try:
        found = UUID(text.removeprefix(PREFIX))
    except ValueError:
        return None
    return found if found.version == 7 else None


def may_see(caller: Caller, usage: UsageRecorded) -> bool:
    """Whose credit it took may see it; in an organization, owners and billing managers, and members their own."""
    if caller.owner != usage.caller.owner:
        return False
    return caller.organization_id is None or caller.role in _SEE_ALL or caller.account_id == usage.caller.account_id


def generation(usage: UsageRecorded, charged: Cost) -> dict[str, Any]:
    """In OpenRouter's form; what it has and we have not is None."""
    cost = charged.microdollars
    tokens, ended_ms = usage.tokens, usage.ended_at_ms
    labels = usage.labels or NO_LABELS
    return {
        "data": {
            "id": f"{PREFIX}{usage.request_id}",
            "upstream_id": None,
            "model": usage.model,
            "provider_name": usage.provider_id,
            "created_at": _time(usage.accepted_at_ms),
            "streamed": usage.streamed,
            "cancelled": usage.outcome is Outcome.CANCELLED,
            "total_cost": cost / MILLION,
            "usage": cost / MILLION,
            "upstream_inference_cost": None,
            "cache_discount": None,
            "is_byok": usage.byok,
            "latency": usage.first_byte_ms,
            "generation_time": max(0, ended_ms - usage.accepted_at_ms - (usage.first_byte_ms or 0)),
            "moderation_latency": None,
            "finish_reason": None,
            "native_finish_reason": None,
            "tokens_prompt": tokens.input_tokens,
            "tokens_completion": tokens.output_tokens,
            "native_tokens_prompt": tokens.input_tokens,
            "native_tokens_completion": tokens.output_tokens,
            "native_tokens_reasoning": tokens.reasoning_tokens,
            "native_tokens_cached": tokens.cache_read_tokens,
            "num_media_prompt": None,
            "num_media_completion": None,
            "num_search_results": None,
            "origin": "",
            "app_id": None,
            "api_type": usage.surface.value,
            "router": None,
            "external_user": labels.customer,
        }
    }


def request(usage: UsageRecorded, charged: Cost) -> dict[str, Any]:
    """All that the books have of it, in our own words."""
    return {
        **usage.model_dump(
            mode="json",
            include={
                "request_id",
                "surface",
                "model",
                "provider_id",
                "outcome",
                "status",
                "tokens",
                "quantities",
                "estimated",
                "byok",
                "free",
                "attempts",
                "tried",
                "first_byte_ms",
                "task_id",
                "streamed",
                "cached_percent",
                "service_tier",
            },
        ),
        "labels": (usage.labels or NO_LABELS).model_dump(),
        "accepted_at": _time(usage.accepted_at_ms),
        "ended_at": _time(usage.ended_at_ms),
        "cost_microdollars": charged.microdollars,
        "usd": usd(charged.microdollars),
        "catalog_version": usage.catalog_version,
        "price_version": charged.price_version,
    }


def _time(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat()
