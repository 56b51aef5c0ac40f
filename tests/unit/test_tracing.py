"""The W3C header (Trace Context, level 2) on its way through a service, and which requests have spans."""

import re

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.telemetry import tracing
from libs.telemetry.tracing import Step, batch_span, new_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SOUND = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.mark.parametrize(("flags", "sampled"), [("00", 0), ("01", 1), ("02", 0), ("03", 1), ("ff", 1), ("fe", 0)])
def test_the_lowest_bit_of_the_flags_says_sampled(flags: str, sampled: int, spans: InMemorySpanExporter) -> None:
    header = f"00-{TRACE}-{PARENT}-{flags}"
    step = Step("policy decide", header)
    step.end()
    assert len(spans.get_finished_spans()) == sampled
    assert (step.traceparent == header) == (not sampled)
    next_step = Step("router plan", step.traceparent)
    next_step.end()
    assert len(spans.get_finished_spans()) == 2 * sampled


def test_a_step_is_a_child_of_the_one_before(spans: InMemorySpanExporter) -> None:
    first = Step("ingress", SOUND, attributes={"http.request.method": "POST"})
    second = Step("policy decide", first.traceparent)
    second.end("Refused")
    first.end()
    inner, outer = spans.get_finished_spans()
    assert inner.context and outer.context and inner.parent and outer.parent
    assert f"{outer.parent.span_id:016x}" == PARENT
    assert inner.parent.span_id == outer.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in (inner, outer) if span.context} == {TRACE}
    assert second.traceparent == f"00-{TRACE}-{inner.context.span_id:016x}-01"
    assert inner.attributes == {"error.type": "Refused"}


UNSAMPLED = f"{SOUND[:-2]}00"


def test_work_on_a_batch_is_a_trace_of_its_own_with_links(spans: InMemorySpanExporter) -> None:
    with batch_span("metering write", [SOUND, UNSAMPLED, "nonsense1"]):
        pass
    with batch_span("metering write", [UNSAMPLED]):
        pass
    (span,) = spans.get_finished_spans()
    assert span.parent is None and span.context and f"{span.context.trace_id:032x}" != TRACE
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]


def test_a_failure_is_kept_though_its_request_is_not_sampled(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_failures", tracing._Failures())
    step = Step("relay answer", UNSAMPLED, attributes={"a": 1})
    step.note({"b": 2})
    step.end("503")
    (kept,) = spans.get_finished_spans()
    assert kept.context and kept.parent and kept.attributes == {"a": 1, "b": 2, "error.type": "503"}
    assert (f"{kept.context.trace_id:032x}", f"{kept.parent.span_id:016x}") == (TRACE, PARENT)
    assert step.traceparent == UNSAMPLED
    Step("relay answer", UNSAMPLED).end("429")
    Step("relay answer", UNSAMPLED).end()
    assert len(spans.get_finished_spans()) == 1, "the client's own, and what went well"


def test_an_outage_is_no_flood_of_spans(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_failures", tracing._Failures())
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    for _ in range(100):
        Step("relay answer", UNSAMPLED).end("stopped")
    assert len(spans.get_finished_spans()) == tracing.MOST_FAILURES


UNSOUND = [
    "",
    "01",
    "nonsense-1",
    SOUND[:-1],
    SOUND.upper(),
    f"ff{SOUND[2:]}",
    f"{SOUND}-more",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}_-{PARENT}-01",
    f"00-{TRACE}-+{PARENT[1:]}-01",
    f"01{SOUND[2:]}-{'x' * 1000}1",
]


@pytest.mark.parametrize("header", UNSOUND)
def test_an_unsound_header_is_not_continued(header: str, spans: InMemorySpanExporter) -> None:
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", made := new_traceparent(1, header))
    assert TRACE not in made
    step = Step("policy decide", header)
    step.end()
    assert (step.traceparent, spans.get_finished_spans()) == (header, ())


def test_a_client_s_trace_is_continued_in_the_form_of_version_0() -> None:
    assert new_traceparent(0, SOUND) == SOUND
    assert new_traceparent(1, f"{SOUND[:-2]}00") == f"{SOUND[:-2]}00"
    assert new_traceparent(0, f" {SOUND[:-2]}03 ") == f"{SOUND[:-2]}03"
    assert new_traceparent(0, f"01{SOUND[2:]}-of-a-later-version") == SOUND


def test_a_share_of_new_traces_is_sampled() -> None:
    assert {new_traceparent(0)[-2:] for _ in range(100)} == {"00"}
    assert {new_traceparent(1)[-2:] for _ in range(100)} == {"01"}
    assert {new_traceparent(0.5)[-2:] for _ in range(100)} == {"00", "01"}
