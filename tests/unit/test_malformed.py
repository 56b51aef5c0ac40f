"""Bodies that clients should not send are refused here or by the provider; nothing in them breaks the relay."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import Provider
from libs.pricing.bounds import size_of

NAMES = (
    "arguments audio call_id content data encrypted_content file file_data file_id function function_call id image_url "
    "include input input_audio input_schema is_error name output reasoning reasoning_details refusal role signature "
    "source summary text thinking tool_call_id tool_calls tool_use_id type url video_url"
)
WORDS = (
    "assistant base64 content document file function function_call function_call_output image image_url input_audio "
    "input_file input_image input_text item_reference message output_text reasoning redacted_thinking refusal "
    "rs_sluice.W10= system text thinking tool tool_result tool_use url user video_url"
)
FIELDS = {
    Surface.CHAT_COMPLETIONS: "functions reasoning reasoning_effort response_format stop tool_choice tools user",
    Surface.RESPONSES: "include instructions metadata reasoning store text tool_choice tools",
    Surface.MESSAGES: "metadata output_config stop_sequences system thinking tool_choice tools",
}
TURNS = {Surface.CHAT_COMPLETIONS: "messages", Surface.RESPONSES: "input", Surface.MESSAGES: "messages"}
PROVIDERS = [
    Provider(base_url="http://x"),
    Provider(base_url="http://x", message_fields=["role", "content"], fields=["temperature"]),
    Provider(base_url="http://x", native=["responses"]),
    Provider(base_url="http://x", protocol="openai-responses"),
    Provider(base_url="http://x", protocol="anthropic-messages"),
    Provider(base_url="http://x", protocol="gemini"),
    Provider(base_url="http://x", protocol="bedrock-converse"),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(WORDS.split()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=12,
)
turns = st.lists(st.dictionaries(st.sampled_from(NAMES.split()), values, max_size=5), min_size=1, max_size=3)


@pytest.mark.parametrize("surface", FIELDS)
@given(data=st.data(), provider=st.sampled_from(PROVIDERS))
def test_any_json_is_sent_or_refused(surface: Surface, data: st.DataObject, provider: Provider) -> None:
    optional = dict.fromkeys(FIELDS[surface].split(), values)
    body: dict[str, Any] = {"model": "a/b", "max_tokens": 5, TURNS[surface]: data.draw(turns)}
    body |= data.draw(st.fixed_dictionaries({}, optional=optional))
    assert size_of(body, len(to_json(body))).tokens_most >= 0
    with suppress(SurfaceError):
        exchange(Call(surface, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1), provider)


@pytest.mark.parametrize(
    ("surface", "turn"),
    [
        (Surface.RESPONSES, {"type": "function_call", "call_id": "c", "name": "f", "arguments": 10**25}),
        (Surface.RESPONSES, {"type": "function_call", "call_id": ["c"], "name": "f", "arguments": "{}"}),
        (Surface.CHAT_COMPLETIONS, {"role": "assistant", "tool_calls": "x"}),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_field_of_another_type_is_the_client_s_error(
    surface: Surface, turn: dict[str, Any], provider: Provider
) -> None:
    body = {"model": "a/b", TURNS[surface]: [{"role": "user", "content": "hi"}, turn]}
    with suppress(SurfaceError):
        exchange(Call(surface, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1), provider)
