"""After a fault: every request that was accepted has exactly one entry, and clients were told the truth."""

from collections import Counter
from typing import Any

from contracts import topics
from contracts.headers import header
from libs.bus.reading import read_to_end
from tests.stacks import Gateway, until

WITHIN_S = 90.0


async def accepted_ids(gateway: Gateway) -> set[str]:
    """The requests that the log holds."""
    found = set()
    async for raw in read_to_end(gateway.stack.bus, topics.REQUESTS):
        found.add(header(raw.headers, "ce_subject") or "")
    return found


async def check_books(gateway: Gateway, completed: set[str]) -> dict[str, int]:
    """Waits until the ledger has an entry for every accepted request, then compares.

    Args:
        completed: requests whose clients got a whole answer.

    Returns:
        How many entries there are of each outcome.
    """
    accepted = await accepted_ids(gateway)

    async def settled() -> list[Any] | None:
        rows = await gateway.database.fetch("select request_id::text, outcome from ledger.entries")
        return rows if accepted <= {row["request_id"] for row in rows} else None

    rows = await until(settled, what=f"entry of each of {len(accepted)} requests", within_s=WITHIN_S)
    outcomes = {row["request_id"]: row["outcome"] for row in rows}
    assert len(outcomes) == len(rows)
    assert completed <= set(outcomes)
    wrong = {request_id for request_id in completed if outcomes[request_id] != "completed"}
    assert not wrong, f"{len(wrong)} clients had a whole answer that the books do not call completed"
    charges: Counter[str] = Counter()
    async for raw in read_to_end(gateway.stack.bus, topics.CHARGES):
        charges[header(raw.headers, "ce_id") or ""] += 1
    assert accepted <= set(charges)
    return dict(Counter(outcomes.values()))
