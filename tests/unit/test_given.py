"""Verdicts that are given again when their requests come again, against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.decisions import Held, QuotaReserved, QuotaWindow
from contracts.record import Refusal
from services.rate_limit.core.given import GivenVerdicts
from tests.unit.records import request_id

IDS = [request_id(number) for number in range(5)]
WINDOW = QuotaWindow(name="requests_per_minute", limit=9, window_s=60, remaining=8, reset_s=30)
HELD = Held(owner="acct:a", model="m", tags=["t"], microdollars=7, at_ms=1, expires_at_ms=2)
KINDS = [{"held": HELD, "windows": [WINDOW]}, {"refusal": Refusal(status=402, message="no")}, {"byok": True}]
STEPS = st.tuples(st.sampled_from(IDS), st.sampled_from(KINDS), st.integers(0, 20), st.booleans())


@given(st.lists(STEPS, max_size=40))
def test_a_verdict_is_found_as_it_was_until_it_is_forgotten(
    steps: list[tuple[str, dict[str, object], int, bool]],
) -> None:
    known, model, now_ms = GivenVerdicts(), dict[str, tuple[int, QuotaReserved]](), 0
    for name, kind, passed_ms, forgets in steps:
        now_ms += passed_ms
        verdict = QuotaReserved.model_validate({"request_id": name, "subject": "acct:a", **kind})
        known.add(verdict, now_ms)
        model[name] = now_ms, verdict
        if forgets:
            known.forget(now_ms - 30)
            model = {one: kept for one, kept in model.items() if kept[0] > now_ms - 30}
        assert [known.find(one) for one in IDS] == [model[one][1] if one in model else None for one in IDS]
        assert len(known) == len(model)
