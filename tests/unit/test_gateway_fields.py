"""Fields that clients of gateways send: no provider is sent them, and what is honoured is not told as dropped."""

from typing import Any

import orjson
import pytest

from contracts.requests import Surface
from libs.config.providers import ProtocolName
from tests.unit.streams import BODIES, exchange_of

PROTOCOLS: tuple[ProtocolName, ...] = (
    "openai-chat",
    "openai-responses",
    "anthropic-messages",
    "gemini",
    "bedrock-converse",
)
SURFACES = {**BODIES, Surface.EMBEDDINGS: {"input": "hi"}, Surface.FIM: {"prompt": "hi"}}


def _sent(surface: Surface, protocol: ProtocolName, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    outgoing = exchange_of(surface, protocol, {**SURFACES[surface], **fields}).outgoing
    return orjson.loads(outgoing.content), outgoing.dropped


@pytest.mark.parametrize(
    ("surface", "protocol"),
    [
        *[(surface, protocol) for surface in BODIES for protocol in PROTOCOLS],
        (Surface.EMBEDDINGS, "openai-chat"),
        (Surface.EMBEDDINGS, "gemini"),
        (Surface.FIM, "openai-chat"),
    ],
)
def test_openrouter_s_fields_stay_here(surface: Surface, protocol: ProtocolName) -> None:
    plain = _sent(surface, protocol)
    wished, dropped = _sent(surface, protocol, usage={"include": True}, transforms=["middle-out"])
    assert (wished, dropped) == (plain[0], ("transforms",))
    assert _sent(surface, protocol, usage={"include": False}, transforms=[]) == plain == (wished, ())


def test_a_provider_with_a_list_of_fields_is_not_sent_them_either() -> None:
    body = {**BODIES[Surface.CHAT_COMPLETIONS], "usage": {"include": True}, "transforms": ["middle-out"], "top_k": 5}
    outgoing = exchange_of(Surface.CHAT_COMPLETIONS, body=body, fields=["seed"]).outgoing
    assert set(orjson.loads(outgoing.content)) == {"model", "messages", "stream", "stream_options"}
    assert outgoing.dropped == ("top_k", "transforms")


@pytest.mark.parametrize("protocol", [protocol for protocol in PROTOCOLS if protocol != "openai-responses"])
@pytest.mark.parametrize(
    ("include", "dropped"),
    [
        (["reasoning.encrypted_content"], ()),
        ([], ()),
        (["message.output_text.logprobs"], ("include",)),
        (["reasoning.encrypted_content", "file_search_call.results"], ("include",)),
    ],
)
def test_thoughts_that_only_the_model_can_read_are_always_included(
    protocol: ProtocolName, include: list[str], dropped: tuple[str, ...]
) -> None:
    assert _sent(Surface.RESPONSES, protocol, include=include)[1] == dropped


def test_an_own_response_is_asked_for_what_the_client_wants_included() -> None:
    include = ["message.output_text.logprobs"]
    assert set(include) <= set(_sent(Surface.RESPONSES, "openai-responses", include=include)[0]["include"])
