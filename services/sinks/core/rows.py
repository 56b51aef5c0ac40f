"""Events as rows of one table."""

import json
from typing import Any

from services.sinks.core.events import Event

TEXTS = ("request_id", "account_id", "organization_id", "key_fingerprint", "model", "provider_id", "outcome")
NUMBERS = ("at_ms", "input_tokens", "output_tokens", "cost_microdollars")
TEXT_COLUMNS = ("id", "type", "subject", *TEXTS, "data")
COLUMNS = ("id", "type", "at_ms", "subject", *TEXTS, "input_tokens", "output_tokens", "cost_microdollars", "data")


def row_of(event: Event) -> dict[str, Any]:
    """A row: what is asked for most in columns of their own (empty or 0 where an event has it not), all of it in
    ``data`` as JSON."""
    data = event.data
    caller = data.get("caller") or {}
    tokens = data.get("tokens") or {}
    found: dict[str, Any] = {name: data.get(name) or caller.get(name) or "" for name in TEXTS}
    found["request_id"] = found["request_id"] or data.get("charge_id") or ""
    return {
        "id": event.id,
        "type": event.type,
        "at_ms": event.at_ms,
        "subject": event.subject,
        **found,
        "input_tokens": tokens.get("input_tokens", 0),
        "output_tokens": tokens.get("output_tokens", 0),
        "cost_microdollars": data.get("cost_microdollars", 0),
        "data": json.dumps(data, separators=(",", ":"), ensure_ascii=False),
    }
