"""`top`'s figures from two readings, and what `tail` shows of a record."""

from typing import Any

import pytest
from pydantic import BaseModel

from contracts.attempts import AttemptEnded
from contracts.prompts import PromptSubmitted
from contracts.record import Record
from contracts.replies import ReplyChunk
from contracts.responses import ResponseSealed
from contracts.vault import CredentialSubmitted
from libs.telemetry.metrics import Counter, Gauge, Histogram
from libs.telemetry.prometheus import expose
from services.cli.figures import figures, read
from services.cli.shown import SHOWN, is_of, shown
from tests.unit.records import accepted


def _page(requests: int, failed: int, cost: int, lag: int) -> bytes:
    duration = Histogram("http.server.request.duration", "s", ("http.route", "http.response.status_code"), "", (0.1, 1))
    by_model = Counter(
        "sluice.requests", "{r}", ("http.route", "gen_ai.request.model", "http.response.status_code"), ""
    )
    spent = Counter("sluice.cost.microdollars", "{m}", ("gen_ai.request.model",), "")
    behind = Gauge("sluice.consumer.lag", "{m}", ("messaging.consumer.group.name", "messaging.destination.name"), "")
    for number in range(requests):
        status = "503" if number < failed else "200"
        duration.record(0.05 if number % 10 else 0.5, "/chat/completions", status)
        by_model.add(1, "/chat/completions", "stub/echo", status)
    spent.add(cost, "stub/echo")
    behind.set(lag, "router", "gateway.requests.v1")
    behind.set(1, "router", "gateway.routes.v1")
    return expose([duration, by_model, spent, behind], {"service.name": "sluice-ingress"}).encode()


def test_what_happened_between_two_readings() -> None:
    before, after = read([_page(100, 0, 1_000, 3)]), read([_page(300, 20, 2_001_000, 7)])
    found = figures(before, after, 10.0)
    assert (found.requests_per_s, found.errors_per_s) == (20.0, 2.0)
    assert (found.p50_ms, found.p95_ms) == (100, 1000)
    assert found.usd_per_h == pytest.approx(720)
    assert found.lag == {"router": 8}
    assert found.models == [{"model": "stub/echo", "requests_per_s": 20.0, "errors_per_s": 2.0}]
    assert figures(after, after, 1.0).p95_ms is None
    # The services began anew: what they count is what they have done since.
    assert figures(after, before, 10.0).requests_per_s == 10.0


def test_quotas_of_keys_are_shares_whoever_else_says_the_same() -> None:
    labels = ("gen_ai.provider.name", "sluice.provider.variable", "sluice.meter")
    used, quota = (
        Gauge("sluice.provider.key.used", "1", labels, ""),
        Gauge("sluice.provider.key.quota", "1", labels, ""),
    )
    for provider, variable, amount, most in (
        ("openai", "FIRST", 5, 100),
        ("openai", "SECOND", 93, 100),
        ("openai", "NONE", 0, 0),
        ("azure", "FIRST", 7, 100),
    ):
        used.set(amount, provider, variable, "requests_per_day")
        quota.set(most, provider, variable, "requests_per_day")
    vault = expose([used, quota], {"service.name": "sluice-key-vault"}).encode()
    found = figures({}, read([vault, vault]), 1.0)
    assert found.keys == [
        {"provider": "openai", "key": "NONE", "quota": "requests_per_day", "used": "100.0%"},
        {"provider": "openai", "key": "SECOND", "quota": "requests_per_day", "used": "93.0%"},
        {"provider": "azure", "key": "FIRST", "quota": "requests_per_day", "used": "7.0%"},
        {"provider": "openai", "key": "FIRST", "quota": "requests_per_day", "used": "5.0%"},
    ]


NEVER = {PromptSubmitted, ReplyChunk, AttemptEnded, ResponseSealed, CredentialSubmitted}


def test_what_holds_prompts_answers_or_keys_is_not_shown() -> None:
    assert not NEVER & set(SHOWN)


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_each_field_that_is_shown_is_there_and_plain(kind: type[Record]) -> None:
    for path in SHOWN[kind]:
        model: Any = kind
        for name in path.split("."):
            field = model.model_fields[name]
            model = next((one for one in _kinds(field.annotation) if issubclass(one, BaseModel)), None)
        assert model is None, f"{path} is a whole part of the record"
        assert not {bytes, dict, list} & set(_kinds(field.annotation)), path


def _kinds(annotation: Any) -> list[type]:
    if isinstance(annotation, type):
        return [annotation]
    parts = [annotation.__origin__] if hasattr(annotation, "__origin__") else []
    return [kind for one in (*parts, *getattr(annotation, "__args__", ())) for kind in _kinds(one)]


def test_a_request_is_shown_without_what_its_client_wrote() -> None:
    request = accepted(model="stub/echo", upstream_headers={"anthropic-beta": "canary"}, task_id="canary")
    assert "canary" not in str(shown(request))
    assert shown(request)["model"] == "stub/echo"
    assert is_of(request, request.subject)
    assert is_of(request, request.subject.partition(":")[2])
    assert not is_of(request, "acct_nobody")
