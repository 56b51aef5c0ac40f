"""Charges as generations of Langfuse: OpenTelemetry spans in OTLP's JSON, with Langfuse's attributes.

Source: Langfuse's OpenTelemetry endpoint, ``/api/public/otel/v1/traces``. Its older ``/api/public/ingestion`` takes
nothing but scores on Langfuse Cloud since 16 November 2026.
"""

import json
from collections.abc import Sequence
from typing import Any

from services.sinks.core.events import Event


def spans_of(events: Sequence[Event]) -> dict[str, Any]:
    """An ``ExportTraceServiceRequest``. Trace and span have IDs of the request, so that a repetition is the same."""
    resource = {"attributes": [_text("service.name", "sluice")]}
    return {
        "resourceSpans": [
            {"resource": resource, "scopeSpans": [{"scope": {"name": "sluice"}, "spans": list(map(_span, events))}]}
        ]
    }


def _span(event: Event) -> dict[str, Any]:
    charge = event.data
    tokens = charge["tokens"]
    labels = charge.get("labels") or {}
    owner = charge.get("organization_id") or charge.get("account_id") or "anonymous"
    attributes = [
        _text("langfuse.observation.type", "generation"),
        _text("gen_ai.request.model", charge["model"]),
        _text("gen_ai.provider.name", charge.get("provider_id") or "none"),
        _number("gen_ai.usage.input_tokens", tokens["input_tokens"]),
        _number("gen_ai.usage.output_tokens", tokens["output_tokens"]),
        _text("langfuse.observation.cost_details", json.dumps({"total": charge["cost_microdollars"] / 1_000_000})),
        _text("langfuse.user.id", labels.get("customer") or owner),
        _text("langfuse.observation.metadata.owner", owner),
        _text("langfuse.observation.metadata.outcome", charge["outcome"]),
    ]
    if tags := labels.get("tags"):
        values = [{"stringValue": tag} for tag in tags]
        attributes.append({"key": "langfuse.trace.tags", "value": {"arrayValue": {"values": values}}})
    trace_id = charge["charge_id"].replace("-", "")
    ended_ms = charge["posted_at_ms"]
    return {
        "traceId": trace_id,
        "spanId": event.id[-16:],
        "name": charge["model"],
        "kind": 3,
        "startTimeUnixNano": str((charge["accepted_at_ms"] or ended_ms) * 1_000_000),
        "endTimeUnixNano": str(ended_ms * 1_000_000),
        "attributes": attributes,
        "status": {"code": 1 if charge["outcome"] == "completed" else 2},
    }


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _number(key: str, value: int) -> dict[str, Any]:
    return {"key": key, "value": {"intValue": str(value)}}
