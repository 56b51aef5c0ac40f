"""What an organization's webhook is asked, and what its answer means. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from contracts.guardrails import WebhookRules
from contracts.mcp import server_of
from contracts.record import Refusal
from contracts.routes import RoutePlanned

MOST_ASKED_BYTES = 8 * 1024 * 1024
MOST_ANSWER_BYTES = 64 * 1024
MOST_MESSAGE_CHARACTERS = 500


class HookError(Exception):
    """The webhook gave no answer, or none that makes sense."""


def question(route: RoutePlanned, stage: str, about: Mapping[str, Any], now_ms: int) -> bytes:
    """The body of a request to the webhook.

    Args:
        stage: ``before`` or ``after``.
        about: ``request``, or ``answer``.
    """
    at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    server = server_of(route.model)
    data = {
        "request_id": route.request_id,
        "organization_id": route.caller.organization_id,
        "account_id": route.caller.account_id,
        "role": route.caller.role,
        "surface": route.surface.value,
        "model": route.model,
        **({"tool": route.targets[0].upstream_model} if server else {}),
        **about,
    }
    return to_json({"type": f"guardrail.{stage}", "timestamp": at, "data": data})


def refusal_of(answer: bytes, stage: str) -> Refusal | None:
    """What the webhook decided; None: it lets it pass. Raises HookError."""
    try:
        found = from_json(answer)
    except ValueError:
        raise HookError("its answer is not JSON") from None
    action = found.get("action") if isinstance(found, dict) else None
    if action == "allow":
        return None
    if action != "refuse":
        raise HookError("its answer is neither `allow` nor `refuse`")
    said = found.get("message")
    message = said[:MOST_MESSAGE_CHARACTERS] if isinstance(said, str) and said.isprintable() and said else ""
    what = message or "Your organization's own guardrail does not allow this"
    return Refusal(status=403, message=what, metadata={"rule": f"guardrails.webhook.{stage}"})


def unanswered(rules: WebhookRules, stage: str) -> Refusal | None:
    """What becomes of a request that the webhook does not answer for."""
    if rules.on_failure == "allow":
        return None
    return Refusal(
        status=503,
        message="Your organization's own guardrail did not answer, and nothing passes without it; try again.",
        metadata={"rule": f"guardrails.webhook.{stage}"},
        retry_after_s=1,
    )
