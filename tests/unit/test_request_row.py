"""A request's row, as lists and the live tail of the console show it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.console.store.requests import Request
from services.console.web.pages import fragment

_ROW: dict[str, Any] = {
    "request_id": UUID(int=1),
    "accepted_at": datetime(2026, 11, 27, tzinfo=UTC),
    "ended_at": datetime(2026, 11, 27, 0, 0, 1, tzinfo=UTC),
    "owner": "acct:a",
    "account_id": "acct_a",
    "key_fingerprint": None,
    "surface": "chat.completions",
    "model": "stub/echo",
    "provider_id": "stub",
    "outcome": "completed",
    "status": 200,
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_tokens": 0,
    "cost_microdollars": 1_500_000,
    "first_byte_ms": None,
    "byok": False,
    "free": False,
    "estimated": False,
    "customer": None,
    "tags": None,
}


@pytest.mark.parametrize(
    ("more", "shown", "others"),
    [
        ({}, "$1.50", ("own key", "free", "no charge")),
        ({"byok": True, "cost_microdollars": 0}, "own key", ("free", "no charge", "$")),
        ({"free": True, "cost_microdollars": 0}, "free", ("own key", "no charge", "$")),
        # A call of a tool is no model's, and nobody's provider key is used for it.
        (
            {"surface": "mcp", "model": "mcp/warehouse", "byok": True, "cost_microdollars": 0},
            "no charge",
            ("own key", "$"),
        ),
    ],
)
def test_the_cost_is_said_as_it_is(more: dict[str, Any], shown: str, others: tuple[str, ...]) -> None:
    row = fragment("request_row.html", row=Request.model_validate(_ROW | more), space="me", names={}, fresh=False)
    assert shown in row
    assert not [one for one in others if one in row]
