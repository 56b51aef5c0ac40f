"""The ledger's SQL. An entry is written once; telling it again changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts.charges import ChargePosted
from contracts.usage import UsageRecorded
from libs.database.pool import Database

_COLUMNS: tuple[tuple[str, str], ...] = (
    ("request_id", "uuid"),
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
    ("estimated", "boolean"),
    ("byok", "boolean"),
    ("free", "boolean"),
    ("attempts", "integer"),
    ("cost_microdollars", "bigint"),
    ("price_version", "text"),
    ("accepted_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("first_byte_ms", "integer"),
    ("task_id", "text"),
    ("client_version", "text"),
    ("mode", "text"),
)
# The names and types are the constants above; values travel as parameters.
_INSERT = (
    f"insert into ledger.entries ({', '.join(name for name, _ in _COLUMNS)}) "  # noqa: S608
    f"select * from unnest({', '.join(f'${i}::{kind}[]' for i, (_, kind) in enumerate(_COLUMNS, 1))}) "
    "on conflict (request_id) do nothing returning request_id"
)
_STORED = (
    "select request_id, cost_microdollars, price_version, outcome, input_tokens, output_tokens, cache_read_tokens, "
    "cache_write_tokens, reasoning_tokens, estimated, byok from ledger.entries where request_id = any($1::uuid[])"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A usage record and what it costs."""

    usage: UsageRecorded
    charge: ChargePosted


class Ledger:
    """Writes entries in batches, each batch in one statement and so in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entries: Sequence[Entry]) -> list[ChargePosted]:
        """Writes what is not there yet and returns the charge of every request as the ledger has it.

        Raises:
            one of `libs.database.pool.AWAY`: nothing was written, or it was and the answer was lost; write again.
        """
        first: dict[UUID, Entry] = {}
        for entry in entries:
            first.setdefault(UUID(entry.usage.request_id), entry)
        rows = [_row(request_id, entry) for request_id, entry in first.items()]
        async with self._database.pool.acquire() as connection:
            written = {
                row["request_id"] for row in await connection.fetch(_INSERT, *map(list, zip(*rows, strict=True)))
            }
            stored = await connection.fetch(_STORED, [known for known in first if known not in written])
        charges = {request_id: first[request_id].charge for request_id in written}
        for row in stored:
            charges[row["request_id"]] = _as_stored(first[row["request_id"]].charge, row)
        return list(charges.values())


def _as_stored(charge: ChargePosted, row: Any) -> ChargePosted:
    tokens = {name: row[name] for name in type(charge.tokens).model_fields}
    return ChargePosted.model_validate(
        charge.model_dump()
        | {name: row[name] for name in ("cost_microdollars", "price_version", "outcome", "estimated", "byok")}
        | {"tokens": tokens}
    )


def _row(request_id: UUID, entry: Entry) -> tuple[object, ...]:
    usage, charge = entry.usage, entry.charge
    return (
        request_id,
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
        usage.tokens.input_tokens,
        usage.tokens.output_tokens,
        usage.tokens.cache_read_tokens,
        usage.tokens.cache_write_tokens,
        usage.tokens.reasoning_tokens,
        usage.estimated,
        usage.byok,
        usage.free,
        usage.attempts,
        charge.cost_microdollars,
        charge.price_version,
        _time(usage.accepted_at_ms),
        _time(usage.ended_at_ms),
        usage.first_byte_ms,
        usage.task_id,
        usage.client_version,
        usage.mode,
    )


def _time(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
