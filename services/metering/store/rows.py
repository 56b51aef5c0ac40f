"""What the tables of entries and of usage hold, column by column."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from contracts.charges import ChargePosted
from contracts.labels import Labels
from contracts.prices import Price
from contracts.quantities import Quantity
from contracts.usage import UsageRecorded
from services.metering.core.journal import Entry, charged, owner_of

ENTRY: tuple[tuple[str, str], ...] = (
    ("entry_id", "uuid"),
    ("kind", "text"),
    ("debit_account", "text"),
    ("credit_account", "text"),
    ("amount_microdollars", "bigint"),
)
NO_LABELS = Labels()
_USAGE: tuple[tuple[str, str], ...] = (
    ("owner", "text"),
    ("subject", "text"),
    ("account_id", "text"),
    ("organization_id", "text"),
    ("key_fingerprint", "text"),
    ("surface", "text"),
    ("model", "text"),
    ("provider_id", "text"),
    ("upstream_model", "text"),
    ("outcome", "text"),
    ("status", "integer"),
    ("input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cache_read_tokens", "bigint"),
    ("cache_write_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("input_image_tokens", "bigint"),
    ("output_image_tokens", "bigint"),
    ("input_audio_tokens", "bigint"),
    ("output_audio_tokens", "bigint"),
    ("quantities", "jsonb"),
    ("estimated", "boolean"),
    ("estimated_from", "text"),
    ("byok", "boolean"),
    ("free", "boolean"),
    ("attempts", "integer"),
    ("tried", "text"),
    ("cost_microdollars", "bigint"),
    ("catalog_version", "integer"),
    ("price_version", "text"),
    ("reserved_microdollars", "bigint"),
    ("accepted_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("first_byte_ms", "integer"),
    ("task_id", "text"),
    ("client_version", "text"),
    ("mode", "text"),
    ("streamed", "boolean"),
    ("cached_percent", "smallint"),
    ("routed_at", "timestamptz"),
    ("called_at", "timestamptz"),
    ("customer", "text"),
    ("tags", "jsonb"),
    ("metadata", "jsonb"),
    ("service_tier", "text"),
)


def names_of(columns: Iterable[tuple[str, str]]) -> str:
    """For a list of columns."""
    return ", ".join(name for name, _ in columns)


# The names and types are the constants above; values travel as parameters.
INSERT = (
    f"with batch as (select * from unnest({', '.join(f'${i}::{kind}[]' for i, (_, kind) in enumerate((*ENTRY, *_USAGE), 1))}) "  # noqa: E501, S608
    f"as t ({names_of((*ENTRY, *_USAGE))})), "
    f"written as (insert into ledger.entries ({names_of(ENTRY)}) select {names_of(ENTRY)} from batch "
    "on conflict (entry_id) do nothing returning entry_id) "
    f"insert into ledger.usage (request_id, {names_of(_USAGE)}) "
    f"select entry_id, {names_of(_USAGE)} from batch join written using (entry_id) returning request_id"
)


@dataclass(frozen=True, slots=True)
class Metered:
    """A usage record, what it costs, and the trace that it belongs to."""

    usage: UsageRecorded
    charge: ChargePosted
    traceparent: str
    price: Price | None = None
    """That the charge is by."""

    @property
    def owner(self) -> str:
        """Whose credit it takes."""
        return owner_of(self.usage.caller)


def row_of(request_id: UUID, one: Metered) -> tuple[object, ...]:
    """The parameters of `INSERT`, in its order."""
    return request_id, *entry_values(charged(one.charge, one.owner)), *_usage_values(one)


def entry_values(entry: Entry) -> tuple[object, ...]:
    """What `ENTRY` names after the ID."""
    return entry.kind, entry.debit_account, entry.credit_account, entry.amount_microdollars


def _usage_values(metered: Metered) -> tuple[object, ...]:
    usage, charge, tokens = metered.usage, metered.charge, metered.usage.tokens
    labels = usage.labels or NO_LABELS
    return (
        metered.owner,
        usage.subject,
        usage.caller.account_id,
        usage.caller.organization_id,
        usage.caller.key_fingerprint,
        usage.surface.value,
        usage.model,
        usage.provider_id,
        usage.upstream_model,
        usage.outcome.value,
        usage.status,
        tokens.input_tokens,
        tokens.output_tokens,
        tokens.cache_read_tokens,
        tokens.cache_write_tokens,
        tokens.reasoning_tokens,
        tokens.input_image_tokens,
        tokens.output_image_tokens,
        tokens.input_audio_tokens,
        tokens.output_audio_tokens,
        _quantities(usage.quantities),
        usage.estimated,
        usage.estimated_from,
        usage.byok,
        usage.free,
        usage.attempts,
        ", ".join(usage.tried) or None,
        charge.cost_microdollars,
        charge.catalog_version,
        charge.price_version,
        usage.reserved_microdollars,
        time_of(usage.accepted_at_ms),
        time_of(usage.ended_at_ms),
        usage.first_byte_ms,
        usage.task_id,
        usage.client_version,
        usage.mode,
        usage.streamed,
        usage.cached_percent,
        None if usage.routed_at_ms is None else time_of(usage.routed_at_ms),
        None if usage.called_at_ms is None else time_of(usage.called_at_ms),
        labels.customer,
        as_json(labels.tags) if labels.tags else None,
        orjson.dumps(labels.metadata).decode() if labels.metadata else None,
        usage.service_tier,
    )


def _quantities(quantities: Sequence[Quantity]) -> str | None:
    return as_json(one.model_dump() for one in quantities) if quantities else None


def as_json(values: Iterable[Any]) -> str:
    """A list, for a column of type jsonb."""
    return orjson.dumps(list(values)).decode()


def time_of(epoch_ms: int) -> datetime:
    """As PostgreSQL takes it."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
