"""Prompts and answers of organizations that keep them: what is noted, redacted, sealed, opened, and for whom."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.contents import ContentRecorded, ContentsKept
from contracts.guardrails import Kind
from contracts.topics import CONTENTS
from libs.bus.records import Received
from libs.sealing.contents import key_pair, open_content, seal_content
from libs.sealing.hybrid import KeyPair, SealError, to_base64
from services.relay.core.noting import LEFT_OUT, MOST_BYTES, Notes, content_of, prompt_steps
from services.sinks.opening import Opening
from tests.unit.records import NOW_MS, request_id

EMAIL = "ada@example.com"
WHOLE = {
    "chat": {"choices": [{"message": {"role": "assistant", "content": f"Write to {EMAIL}"}}]},
    "completions": {"choices": [{"text": f"Write to {EMAIL}"}]},
    "messages": {"type": "message", "content": [{"type": "text", "text": f"Write to {EMAIL}"}]},
    "responses": {"output": [{"type": "message", "content": [{"type": "output_text", "text": f"Write to {EMAIL}"}]}]},
}
STREAMED: dict[str, Any] = {
    "chat": lambda piece: {"choices": [{"index": 0, "delta": {"content": piece}}]},
    "completions": lambda piece: {"choices": [{"index": 0, "text": piece}]},
    "messages": lambda piece: {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": piece},
    },
    "responses": lambda piece: {"type": "response.output_text.delta", "output_index": 0, "delta": piece},
}


@pytest.mark.parametrize("surface", WHOLE)
def test_a_whole_answer_is_its_texts_redacted(surface: str) -> None:
    notes = Notes()
    notes.whole(json.dumps(WHOLE[surface]))
    assert notes.text([Kind.EMAIL]) == "Write to [EMAIL]"
    assert notes.text([]) == f"Write to {EMAIL}"


@pytest.mark.parametrize("surface", STREAMED)
@given(cuts=st.sets(st.integers(1, 20), max_size=6))
def test_a_streamed_answer_is_redacted_however_it_was_cut(surface: str, cuts: set[int]) -> None:
    text, notes, ends = f"Write to {EMAIL} now", Notes(), [0, *sorted(cuts), 99]
    for begin, end in pairwise(ends):
        notes.add(f"id: 1\ndata: {json.dumps(STREAMED[surface](text[begin:end]))}\n\n")
    notes.add("data: [DONE]\n\n")
    assert notes.text([Kind.EMAIL]) == "Write to [EMAIL] now"


def test_a_stream_that_another_relay_began_is_noted_as_one_text() -> None:
    notes = Notes("Write to ada@exam")
    notes.add(f"data: {json.dumps(STREAMED['chat']('ple.com'))}\n\n")
    assert notes.text([Kind.EMAIL]) == "Write to [EMAIL]"


def test_what_is_too_large_is_left_out_and_recordings_have_no_text() -> None:
    notes = Notes()
    notes.add(b"\xff\x00")
    assert notes.text([]) == ""
    for _ in range(3):
        notes.add(f"data: {json.dumps(STREAMED['chat']('x' * (MOST_BYTES // 2)))}\n\n")
    assert notes.text([]) is None
    assert json.loads(content_of(ContentsKept(), {}, None, "completed"))["answer"] == LEFT_OUT


def test_a_prompt_is_redacted_and_its_files_are_left_out() -> None:
    picture = "data:image/png;base64," + "A" * 5_000
    body = {
        "model": "m",
        "user": EMAIL,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": EMAIL}, {"type": "image_url", "image_url": {"url": picture}}],
            }
        ],
    }
    found: list[Any] = []
    for _ in prompt_steps(body, list(Kind), found):
        pass
    (message,) = found[0]["messages"]
    assert found[0].keys() == {"messages"}
    assert message["content"][0]["text"] == "[EMAIL]"
    assert message["content"][1]["image_url"] == {"url": LEFT_OUT}


def test_a_policy_chooses_between_prompts_and_answers() -> None:
    assert json.loads(content_of(ContentsKept(prompts=False), "p", "a", "completed")) == {
        "outcome": "completed",
        "answer": "a",
    }
    assert "answer" not in json.loads(content_of(ContentsKept(answers=False), "p", "a", "completed"))
    assert ContentsKept().redact == list(Kind)


def test_only_the_sinks_key_opens_and_only_for_this_request_and_organization() -> None:
    pair = KeyPair.generate()
    whose = {"request_id": request_id(1), "organization_id": "org_1"}
    sealed = seal_content(b"secret words", pair.public, **whose)
    assert open_content(sealed, key_pair(to_base64(pair.private_bytes())), **whose) == b"secret words"
    for other in (whose | {"organization_id": "org_2"}, whose | {"request_id": request_id(2)}):
        with pytest.raises(SealError):
            open_content(sealed, pair, **other)
    with pytest.raises(SealError):
        open_content(sealed, KeyPair.generate(), **whose)
    with pytest.raises(SealError, match="sinks key"):
        key_pair("hunter2")


def test_a_sink_is_given_the_contents_of_its_organizations() -> None:
    pair = KeyPair.generate()
    sealed = seal_content(
        b'{"prompt":"p","answer":"a","outcome":"completed"}',
        pair.public,
        request_id=request_id(1),
        organization_id="org_1",
    )
    record = ContentRecorded(
        request_id=request_id(1),
        organization_id="org_1",
        model="m",
        keep_days=7,
        recorded_at_ms=NOW_MS,
        sealed=sealed,
    )
    assert sealed not in repr(record)
    received = Received(record, CONTENTS, 0, 1, NOW_MS, "")
    event = Opening("sinks.a", pair, ["org_1"]).event(received)
    assert event and event.type == "content.recorded"
    assert (event.data["prompt"], event.data["answer"], "sealed" in event.data) == ("p", "a", False)
    assert Opening("sinks.a", pair).event(received) == event
    assert Opening("sinks.a", pair, ["org_2"]).event(received) is None
    assert Opening("sinks.a").event(received) is None
    with pytest.raises(SealError):
        Opening("sinks.a", KeyPair.generate()).event(received)
