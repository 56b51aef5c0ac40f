"""Instruments: what they count, how they are shown, and how many series there can be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import export as points

from deploy.local.home import ROOT
from libs.telemetry import table
from libs.telemetry.instruments import ALL
from libs.telemetry.metrics import MOST_SERIES, OTHER, Counter, Gauge, Histogram
from libs.telemetry.otlp_metrics import snapshot
from libs.telemetry.prometheus import expose, prometheus_name
from libs.telemetry.resource import resource

TRACE = "0af7651916cd43dd8448eb211c80319c"
OF_PEOPLE = re.compile(r"owner|account|organi[sz]ation|user|member|subject|key|address|\bip\b|request\.id|request_id")


def test_names_are_unique_and_no_label_is_of_people() -> None:
    assert len({prometheus_name(one) for one in ALL}) == len(ALL)
    assert not [label for one in ALL for label in one.labels if OF_PEOPLE.search(label)]


def test_ten_thousand_values_of_a_label_are_a_thousand_series() -> None:
    counter = Counter("c", "1", ("model",), "")
    gauge = Gauge("g", "1", ("model",), "")
    histogram = Histogram("h", "s", ("model", "status"), "", (1.0,))
    for number in range(10_000):
        counter.add(1, f"model-{number}")
        gauge.set(1, f"model-{number}")
        histogram.record(0.5, f"model-{number}", "200")
    for one in (counter, gauge, histogram):
        assert len(one.series) == MOST_SERIES + 1
    beyond = 10_000 - MOST_SERIES
    assert counter.series[OTHER,] == beyond
    assert histogram.series[OTHER, OTHER].counts == [beyond, 0]
    with pytest.raises(ValueError, match="labels"):
        counter.add(1, "too", "many")


def _shown(*instruments: Counter | Gauge | Histogram) -> list[str]:
    return [line for line in expose(instruments, {"service.name": "s"}).splitlines() if not line.startswith("# HELP")]


def test_what_prometheus_reads() -> None:
    counter = Counter("sluice.requests", "{request}", ("http.route",), "Requests.")
    counter.add(2, 'a "quoted"\nroute')
    gauge = Gauge("process.memory.usage", "By", (), "Memory.")
    gauge.observe("now", lambda: [(2, ())])
    gauge.observe("too", lambda: [(3, ())])
    assert _shown(counter, gauge) == [
        "# TYPE target info",
        'target_info{service_name="s"} 1',
        "# TYPE sluice_requests counter",
        r'sluice_requests_total{http_route="a \"quoted\"\nroute"} 2.0',
        "# TYPE process_memory_usage_bytes gauge",
        "# UNIT process_memory_usage_bytes bytes",
        "process_memory_usage_bytes 5.0",
        "# EOF",
    ]


def test_an_exemplar_is_of_a_sampled_request() -> None:
    histogram = Histogram("h", "s", (), "", (0.1, 1.0))
    histogram.record(0.5, trace=f"00-{TRACE}-b7ad6b7169203331-00")
    assert "trace_id" not in expose([histogram], {})
    histogram.record(0.6, trace=f"00-{TRACE}-b7ad6b7169203331-01")
    shown = expose([histogram], {})
    assert re.search(rf'le="1\.0"}} 2 # {{trace_id="{TRACE}",span_id="b7ad6b7169203331"}} 0\.6 \d+\.\d{{3}}\n', shown)
    (resource_metrics,) = snapshot([histogram], resource("test"), 0, 1).resource_metrics
    data = resource_metrics.scope_metrics[0].metrics[0].data
    assert isinstance(data, points.Histogram)
    assert [one.trace_id for one in data.data_points[0].exemplars] == [int(TRACE, 16)]


@given(st.lists(st.floats(0, 100), max_size=50))
def test_buckets_are_what_counting_gives(values: list[float]) -> None:
    bounds = (0.5, 1.0, 10.0)
    histogram = Histogram("h", "1", (), "", bounds)
    for value in values:
        histogram.record(value)
    shown = dict(line.rsplit(" ", 1) for line in expose([histogram], {}).splitlines() if line.startswith("h_"))
    if values:
        for bound in bounds:
            assert int(shown[f'h_bucket{{le="{bound}"}}']) == sum(value <= bound for value in values)
        assert int(shown["h_count"]) == len(values)
        assert float(shown["h_sum"]) == pytest.approx(sum(values))


def test_the_page_is_the_module_s() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == table.document(), "run ./sluice contracts"
