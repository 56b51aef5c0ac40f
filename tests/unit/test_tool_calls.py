"""Repair: whatever the client lost or doubled, each call stands once and its one result follows it."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.chat.providers.tool_calls import PLACEHOLDER, repair

ids = st.sampled_from(["a", "b", "c", "call_with-a very long and odd id!", "012345678"])
call = st.builds(lambda name: {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}, ids)
message = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, st.text(max_size=3)),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none(), "tool_calls": st.lists(call, min_size=1, max_size=3)}
    ),
    st.builds(lambda name, text: {"role": "tool", "tool_call_id": name, "content": text}, ids, st.text(max_size=3)),
)


@given(st.lists(message, max_size=10), st.sampled_from([None, "anthropic", "mistral"]))
def test_each_call_once_with_one_result_right_after_it(messages: list[Any], form: str | None) -> None:
    mended = repair(messages, id_form=form)
    assert repair(mended, id_form=form) == mended
    calls: list[str] = []
    waiting: list[str] = []
    for found in mended:
        if found["role"] == "tool":
            assert found["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        waiting = [str(one["id"]) for one in found.get("tool_calls", ())]
        calls += waiting
    assert not waiting
    assert len(calls) == len(set(calls))
    asked = {one["id"] for found in messages for one in found.get("tool_calls", ())}
    assert len(calls) == len(asked)
    users = [found for found in messages if found["role"] == "user"]
    assert [found for found in mended if found["role"] == "user"] == users
    if form:
        pattern = {"anthropic": r"^[a-zA-Z0-9_-]{1,64}$", "mistral": r"^[a-zA-Z0-9]{9}$"}[form]
        assert all(re.match(pattern, name) for name in calls)


def test_what_is_in_order_is_left_alone() -> None:
    messages: Any = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}, {"id": "b"}]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        "what no provider will take is theirs to refuse",
    ]
    assert repair(messages) == messages


def test_a_missing_result_is_said_to_be_missing() -> None:
    (_, result) = repair([{"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}])
    assert result == {"role": "tool", "tool_call_id": "a", "content": PLACEHOLDER}
