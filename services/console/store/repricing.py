"""The usage of a span of time, row by row, for `services.console.core.repricing`."""

from contracts.usage import TokenUsage
from libs.database.pool import Connection
from services.console.core.repricing import Repricing
from services.console.errors import BadInput
from services.console.store.usage import Span

MOST_REQUESTS = 1_000_000
_COLUMNS = ", ".join(
    (
        "owner",
        "model",
        "provider_id",
        "accepted_at",
        "cost_microdollars",
        "quantities",
        "byok",
        "service_tier",
        *TokenUsage.model_fields,
    )
)


async def reprice(connection: Connection, repricing: Repricing, over: Span, owner: str | None) -> None:
    """Takes in what was used in the span, by one owner or (None) all who pay.

    Raises:
        BadInput: these are too many requests for one go.
    """
    count = 0
    query = (
        f"select {_COLUMNS} from ledger_v1.usage where request_id >= ledger_v1.first_id($1) "  # noqa: S608
        "and ($2::timestamptz is null or request_id < ledger_v1.first_id($2)) and ($3::text is null or owner = $3) "
        "and not byok and not free and owner <> 'anonymous'"
    )
    async for row in connection.cursor(query, over.since, over.until, owner):
        count += 1
        if count > MOST_REQUESTS:
            raise BadInput(f"these are more than {MOST_REQUESTS:,} requests; name a shorter time, or an owner")
        repricing.take(dict(row))
