"""The table of `./sluice bench hops`."""

from deploy.local.collector import Span
from tests.bench.hops import Timing, rows, timings


def test_a_step_begins_after_the_first_and_lasts_as_long_as_in_most_traces() -> None:
    ms = 1_000_000
    traces = [
        [Span("policy", "decide", (7 + lag) * ms, (8 + lag) * ms), Span("ingress", "chat", 5 * ms, (20 + lag) * ms)]
        for lag in (0, 1, 40)
    ]
    found = timings([*traces, []])
    assert found == {("ingress", "chat"): Timing(0, 16), ("policy", "decide"): Timing(3, 1)}
    assert rows({1: found, 64: {}})[1] == {
        "service": "policy",
        "step": "decide",
        "1: begins ms": "3.0",
        "1: lasts ms": "1.0",
        "64: begins ms": "",
        "64: lasts ms": "",
    }
