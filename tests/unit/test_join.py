"""The router's join: one verdict a request, whatever comes when and how often."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.record import Lasting, Refusal
from contracts.requests import RequestAccepted
from services.router.core.join import Allowed, Join, Refused
from tests.unit.records import NOW_MS, accepted, decisions, request_id

NO = Refusal(status=403, message="no")
KEEP_MS = 30_000


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=6))
def test_any_order_and_any_repetition_give_one_route(order: list[int], again: list[int]) -> None:
    records = [accepted(), *decisions()]
    join: Join[str] = Join(KEEP_MS)
    verdicts = [_feed(join, records[index]) for index in [*order, *again]]
    given_ = [verdict for verdict in verdicts if verdict is not None]
    assert len(given_) == 1
    assert isinstance(given_[0], Allowed)
    assert given_[0].source == "here"
    assert join.waiting() == 0


@given(st.permutations(range(4)), st.integers(1, 3))
def test_the_first_refusal_settles_it(order: list[int], refusing: int) -> None:
    records = [accepted(), *decisions()]
    records[refusing] = records[refusing].model_copy(update={"refusal": NO})
    join: Join[str] = Join(KEEP_MS)
    given_ = [verdict for index in order if (verdict := _feed(join, records[index])) is not None]
    assert len(given_) == 1
    assert isinstance(given_[0], Refused)
    assert given_[0].refusal == NO
    assert not given_[0].failed


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60))
def test_requests_never_disturb_each_other(steps: list[tuple[int, int]]) -> None:
    join: Join[str] = Join(KEEP_MS)
    seen: dict[int, set[int]] = {number: set() for number in range(6)}
    verdicts: dict[int, int] = dict.fromkeys(range(6), 0)
    for number, kind in steps:
        verdict = _feed(join, [accepted(number), *decisions(number)][kind])
        seen[number].add(kind)
        verdicts[number] += verdict is not None
        assert verdicts[number] == (1 if len(seen[number]) == 4 else 0)


def test_what_is_decided_too_late_is_not_run_where_its_key_may_stand_for_another() -> None:
    kept = accepted().model_copy(update={"reply_to": accepted().reply_to.model_copy(update={"lasting": Lasting.KEPT})})
    for request, late_ms, allowed in ((kept, 14_999, True), (kept, 15_000, False), (accepted(), 15_000, True)):
        join: Join[str] = Join(KEEP_MS)
        for decision in decisions():
            assert join.decision(decision, NOW_MS + late_ms) is None
        verdict = join.request(request, "here", "", NOW_MS + late_ms)
        assert isinstance(verdict, Allowed) is allowed
        assert isinstance(verdict, Allowed) or (verdict is not None and verdict.failed)


def test_a_decision_that_never_comes_fails_the_request_and_names_the_service() -> None:
    join: Join[str] = Join(KEEP_MS)
    policy, _, credential = decisions()
    for record in (accepted(), policy, credential):
        assert _feed(join, record) is None
    assert list(join.expire(NOW_MS + 14_999)) == []
    (verdict,) = join.expire(NOW_MS + 15_000)
    assert verdict.failed
    assert verdict.refusal.status == 504
    assert "rate-limit" in verdict.refusal.message
    assert list(join.expire(NOW_MS + 15_001)) == []


def test_what_is_settled_or_orphaned_is_forgotten() -> None:
    join: Join[str] = Join(KEEP_MS)
    for record in (accepted(1), *decisions(1), *decisions(2)):
        _feed(join, record)
    list(join.expire(NOW_MS + KEEP_MS - 1))
    assert len(join) == 2
    list(join.expire(NOW_MS + KEEP_MS))
    assert len(join) == 0


def test_a_broken_record_fails_the_request_once() -> None:
    join: Join[str] = Join(KEEP_MS)
    assert join.fail(request_id(1), NO, NOW_MS) is None
    _feed(join, accepted())
    verdict = join.fail(request_id(1), NO, NOW_MS)
    assert verdict is not None
    assert verdict.failed
    assert join.fail(request_id(1), NO, NOW_MS) is None


def _feed(join: Join[str], record: object) -> Allowed[str] | Refused[str] | None:
    if isinstance(record, RequestAccepted):
        return join.request(record, "here", "", NOW_MS)
    return join.decision(record, NOW_MS)  # type: ignore[arg-type]
