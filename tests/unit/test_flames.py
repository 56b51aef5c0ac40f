"""What `./sluice bench profile` makes of collapsed stacks: kinds of work, tables, trees and pictures."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.sampling import LOOP
from tests.bench.flames import outline, parsed, tree
from tests.bench.kinds import (
    CONNECTION,
    DECODING,
    EVENT_LOOP,
    FETCHING,
    GARBAGE,
    PRODUCING,
    PROVIDER,
    by_kind,
    kind,
    table,
)
from tests.bench.plots.flames import LEAST_SHARE, WIDTH, flame_graph

SVG = "{http://www.w3.org/2000/svg}"
AROUND = "services/relay/__main__.py:<module>;libs/runtime/process.py:run_process;asyncio/runners.py:Runner.run"
TEXT = f"""\
{AROUND};services/relay/attempt.py:Attempt.run;line 7 3000
{AROUND};services/relay/attempt.py:Attempt.run;libs/bus/records.py:decode;line 9 1000
{AROUND};{LOOP} 500
"""
FRAMES = st.sampled_from(["services/relay/a.py:f", "aiokafka/conn.py:<send> & read", "uvicorn/x.py:g", "h.py:h"])
STACKS = st.dictionaries(
    st.lists(FRAMES, min_size=1, max_size=6).map(tuple), st.floats(min_value=1, max_value=1e6), min_size=1
)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("libs/bus/reader.py:fetch;aiokafka/consumer/fetcher.py:Fetcher.f;asyncio/tasks.py:wait;line 1", FETCHING),
        ("libs/bus/producer.py:publish;aiokafka/producer/producer.py:send;line 1", PRODUCING),
        ("aiokafka/producer/sender.py:do;aiokafka/conn.py:send;asyncio/streams.py:write;line 1", CONNECTION),
        ("aiokafka/util.py:wait;line 1", CONNECTION),
        ("libs/bus/turn.py:f;contracts/record.py:Record.decode;pydantic/main.py:BaseModel.x;line 1", DECODING),
        ("services/relay/core/ending.py:ended;pydantic/main.py:BaseModel.__init__;line 1", "own: the service itself"),
        ("services/relay/calls.py:f;libs/chat/providers/exchange.py:g;(generated):<lambda>;line 1", "own: libs/chat"),
        ("services/relay/calls.py:f;libs/ids.py:g;line 1", "own: libs/ids"),
        ("services/relay/calls.py:f;contracts/usage.py:g;line 1", "own: contracts"),
        ("services/relay/upstream.py:call;aiohttp/client.py:request;line 1", PROVIDER),
        ("services/relay/calls.py:f;libs/runtime/sampling.py:garbage_collection;line 1", GARBAGE),
        ("asyncio/timeouts.py:Timeout._on_timeout;line 1", EVENT_LOOP),
        (LOOP, EVENT_LOOP),
        ("(other stacks)", EVENT_LOOP),
    ],
)
def test_the_innermost_frame_that_a_rule_knows_decides(stack: str, expected: str) -> None:
    assert kind(tuple(stack.split(";"))) == expected


def test_stacks_begin_inside_the_event_loop_and_are_of_one_request() -> None:
    found = parsed(TEXT, requests=10)
    assert found == {
        ("services/relay/attempt.py:Attempt.run", "line 7"): 300,
        ("services/relay/attempt.py:Attempt.run", "libs/bus/records.py:decode", "line 9"): 100,
        (LOOP,): 50,
    }
    assert list(outline(tree(found), 100)) == [
        "   400.0 services/relay/attempt.py:Attempt.run",
        "   300.0  line 7",
        "   100.0  libs/bus/records.py:decode",
        "   100.0   line 9",
    ]


def test_the_table_has_a_column_for_each_service_and_what_the_kernel_counts() -> None:
    kinds = {"relay": by_kind(parsed(TEXT)), "router": {DECODING: 2000.0}}
    lines = list(table(kinds, {"relay": 4600.0, "router": 2100.0, "broker": 9000.4}))
    assert lines == [
        "| µs a request | relay | router | all |",
        "|---|---:|---:|---:|",
        f"| {DECODING} | 1,000 | 2,000 | 3,000 |",
        "| own: the service itself | 3,000 |  | 3,000 |",
        f"| {EVENT_LOOP} | 500 |  | 500 |",
        "| **all** | 4,500 | 2,000 | 6,500 |",
        "| as the kernel counts | 4,600 | 2,100 | 6,700 |",
        "",
        "Beside them: broker 9,000 µs.",
    ]


@given(STACKS)
def test_no_kind_takes_what_is_not_there(stacks: dict[tuple[str, ...], float]) -> None:
    assert sum(by_kind(stacks).values()) == pytest.approx(sum(stacks.values()))


@given(STACKS)
def test_boxes_are_as_wide_as_their_share_and_lie_within_their_callers(stacks: dict[tuple[str, ...], float]) -> None:
    root = tree(stacks)
    picture = ElementTree.fromstring(flame_graph("relay: 1 µs <a request> & more", root))
    rows: dict[int, list[tuple[float, float]]] = {}
    for box in picture.iter(f"{SVG}g"):
        (drawn,) = box.findall(f"{SVG}rect")
        x, width = float(drawn.attrib["x"]), float(drawn.attrib["width"])
        assert width >= WIDTH * LEAST_SHARE - 0.1
        rows.setdefault(int(drawn.attrib["y"]), []).append((x, x + width))
    for y, boxes in rows.items():
        ordered = sorted(boxes)
        assert all(end <= begin + 0.11 for (_, end), (begin, _) in pairwise(ordered))
        for x, end in boxes:
            below = rows.get(y + 16, [(0, WIDTH)])
            assert any(begin - 0.11 <= x and end <= until + 0.11 for begin, until in below)


def test_a_picture_names_what_it_shows_and_needs_nothing_else() -> None:
    text = flame_graph("relay: 4,500 µs of CPU a request", tree(parsed(TEXT)))
    assert "relay: 4,500 µs of CPU a request" in text
    assert "services/relay/attempt.py:Attempt.run: 4000.0 µs" in text
    assert "<script" not in text and "href" not in text and "url(" not in text
