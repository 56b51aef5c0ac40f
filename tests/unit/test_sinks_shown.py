"""Sinks as the operator sees them: the reports of processes, added up."""

from contracts.sinks import SILENT_MS, SinkBackfillOrdered, SinkReported
from services.console.answers import time_of
from services.console.core.sinks import backfill_of, shown

NOW = 1_764_000_000_000


def _report(process: str, ago_ms: int = 0, **more: object) -> SinkReported:
    fields = {"kind": "webhook", "records": ["charges"], "group": "sinks.billing", "condition": "running", "lag": 3}
    return SinkReported.model_validate(
        {"sink": "billing", "process": process, "reported_at_ms": NOW - ago_ms} | fields | more
    )


def test_processes_are_added_up_and_the_worst_condition_is_shown() -> None:
    paused = _report("b", condition="paused", delivered=2, last_error="422", last_delivered_at_ms=5)
    (sink,) = shown([_report("a", delivered=1), paused], {}, NOW)
    assert (sink.condition, sink.processes, sink.lag, sink.delivered) == ("paused", 2, 6, 3)
    assert (sink.last_error, sink.last_delivered_at, sink.backfill) == ("422", time_of(5), None)


def test_a_process_that_went_silent_counts_no_more() -> None:
    gone = _report("a", SILENT_MS + 1, lag=100, condition="retrying")
    (sink,) = shown([gone, _report("b")], {}, NOW)
    assert (sink.condition, sink.processes, sink.lag) == ("running", 1, 3)


def test_where_all_are_silent_the_last_report_is_shown() -> None:
    order = SinkBackfillOrdered(sink="billing", from_ms=1, number=2, ordered_by="operator")
    reports = [_report("a", SILENT_MS + 2, lag=1), _report("b", SILENT_MS + 1, lag=9)]
    (sink,) = shown(reports, {"billing": order}, NOW)
    assert (sink.condition, sink.processes, sink.lag, sink.backfill) == ("silent", 0, 9, backfill_of(order))


def test_sinks_are_in_the_order_of_their_names() -> None:
    reports = [_report("a", sink=name) for name in ("warehouse", "billing")]
    assert [one.name for one in shown(reports, {}, NOW)] == ["billing", "warehouse"]
