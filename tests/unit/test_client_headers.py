"""Which headers of a client a provider sees."""

import orjson
import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, Outgoing
from libs.config.providers import ProtocolName, Provider
from services.ingress.core.client_headers import upstream_headers
from services.ingress.core.errors import BadRequest

BETA = "claude-code-20250219,context-1m-2025-08-07"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("claude-code-20250219, context-1m-2025-08-07", BETA),
        (f" {BETA},claude-code-20250219,, ", BETA),
        ("", None),
        (" , ", None),
    ],
)
def test_features_of_anthropic_go_on_each_once(given: str, sent: str | None) -> None:
    headers = {"anthropic-beta": given, "authorization": "Bearer secret", "x-api-key": "secret", "cookie": "a=b"}
    assert upstream_headers(headers) == ({"anthropic-beta": sent} if sent else {})
    assert upstream_headers({}) == {}


@pytest.mark.parametrize(
    "wrong", ["a b", "a\r\nx-api-key: y", "é", "-a", "a" * 65, ",".join(f"f{n}" for n in range(33))]
)
def test_what_is_no_list_of_features_is_refused(wrong: str) -> None:
    with pytest.raises(BadRequest, match="anthropic-beta"):
        upstream_headers({"anthropic-beta": wrong})


def _outgoing(surface: Surface, protocol: ProtocolName, headers: dict[str, str], **more: list[str]) -> Outgoing:
    body = {"model": "a/b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    call = Call(surface, body, "a/b", "up", False, cap_tokens=None, most_tokens=9, created_s=1, headers=headers)
    return exchange(call, Provider(base_url="http://x", protocol=protocol, **more)).outgoing


@pytest.mark.parametrize("surface", [Surface.MESSAGES, Surface.CHAT_COMPLETIONS])
def test_a_provider_of_messages_gets_them_and_others_are_named_as_left_out(surface: Surface) -> None:
    sent = _outgoing(surface, "anthropic-messages", {"anthropic-beta": BETA})
    assert (sent.headers, sent.dropped) == ({"anthropic-beta": BETA}, ())
    protocols: tuple[ProtocolName, ...] = ("openai-chat", "openai-responses", "gemini", "bedrock-converse")
    for protocol in protocols:
        sent = _outgoing(surface, protocol, {"anthropic-beta": BETA})
        assert (sent.headers, sent.dropped) == ({}, ("anthropic-beta",)), protocol
        assert b"context-1m" not in orjson.dumps(orjson.loads(sent.content))
        assert _outgoing(surface, protocol, {}).dropped == ()


def test_a_provider_that_refuses_them_is_not_sent_any() -> None:
    sent = _outgoing(Surface.MESSAGES, "anthropic-messages", {"anthropic-beta": BETA}, unsupported=["anthropic-beta"])
    assert (sent.headers, sent.dropped) == ({}, ("anthropic-beta",))
