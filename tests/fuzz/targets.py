"""What takes bytes that somebody else has made. Each either takes them or says so in its own words."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError
from pydantic_core import from_json

from contracts.control import PolicySet
from contracts.decisions import SealedGrant
from contracts.decoding import NotARecord, decode
from contracts.guardrails import AnswerRules
from contracts.headers import TYPE, TYPE_PREFIX
from contracts.prompts import PromptSubmitted
from contracts.requests import Surface
from contracts.topics import TOPICS
from contracts.usage import TokenUsage
from libs.chat import exact_json
from libs.chat.providers.answers import Exchange
from libs.chat.providers.bedrock_converse.framing import EventStream
from libs.chat.providers.exchange import exchange
from libs.chat.providers.protocol import Call, Framing, ProtocolError, ProviderFailure
from libs.chat.providers.registry import ADAPTERS
from libs.chat.providers.sse import ServerSentEvents
from libs.chat.surfaces.writer import SurfaceError
from libs.config.providers import Provider
from libs.config.reading import DocumentError, read_config
from libs.endpoints.form import Form, RequestError
from libs.endpoints.multipart import FormError
from libs.identity.tokens import TokenError, verify
from libs.mcp import messages
from libs.mcp.messages import RpcError
from libs.mcp.server import served
from libs.policy.answers import AnswerRefused, Growing
from libs.policy.guardrails import Checked
from libs.policy.rules import daily_limit
from libs.runtime.unpacking import PIECE_BYTES, Unpacking, UnpackingError
from libs.sealing.grants import Epoch, open_grant
from libs.sealing.hybrid import SealError
from services.ingress.core.bodies import parse
from services.ingress.core.errors import IngressError
from services.ingress.core.nodes import check_nodes

CORPUS = Path(__file__).with_name("corpus")
NOW_S = 1_795_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"\x19" * 32)
"""Signs the token of the corpus."""
EPOCH = Epoch("e", b"\x19" * 32, lambda _request_id: 0)
"""Seals the grant of the corpus."""
REQUEST_ID = "01a20fa9-0001-765b-82a0-000000000001"
BOUNDARY = "multipart/form-data; boundary=b"
SURFACES = (Surface.CHAT_COMPLETIONS, Surface.RESPONSES, Surface.MESSAGES)
_PROVIDERS = {name: Provider(base_url="http://x", protocol=name) for name in ADAPTERS}
_COUNTED = TokenUsage(input_tokens=3, output_tokens=2)
_ASKED: dict[str, Any] = {
    "model": "a/b",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
    "input": "hi",
    "stream_options": {"include_usage": True},
}


def corpus_of(name: str) -> list[bytes]:
    """What a target takes, and what once broke it."""
    return [file.read_bytes() for file in sorted((CORPUS / name).iterdir())]


def _exchange(surface: Surface, provider: Provider, *, streamed: bool, body: dict[str, Any] | None = None) -> Exchange:
    call = Call(surface, body or _ASKED, "a/b", "up", streamed, cap_tokens=None, most_tokens=9, created_s=1)
    return exchange(call, provider)


def bodies(data: bytes) -> None:
    """A request of every surface, peeked at as the ingress does, and translated for every protocol."""
    with suppress(IngressError):
        for _ in check_nodes(data, 100_000):
            pass
    for modern in (True, False):
        with suppress(RpcError):
            served(messages.parse(data), modern=modern)
    for surface in set(Surface) - {Surface.MCP}:
        with suppress(IngressError):
            asked = parse(surface, data)
            assert asked.size.tokens_most >= asked.size.tokens_least >= 0
            if surface in SURFACES:
                for provider in _PROVIDERS.values():
                    with suppress(SurfaceError):
                        _exchange(surface, provider, streamed=asked.stream, body=dict(asked.body))


def forms(data: bytes) -> None:
    """A form with files."""
    with suppress(FormError, RequestError):
        form = Form.read(BOUNDARY, data)
        assert sum(len(part.content) for part in form.parts) <= len(data)
        assert isinstance(form.text(next(iter(form.names), "")), str)


def _framed(framing: Callable[[], Framing], data: bytes) -> list[str]:
    whole: list[str] = []
    with suppress(ProtocolError):
        whole = framing().feed(data)
        byte_by_byte = framing()
        assert [event for at in range(len(data)) for event in byte_by_byte.feed(data[at : at + 1])] == whole
    return whole


def server_sent_events(data: bytes) -> None:
    """A stream, however it is cut, and its events as each protocol's for each surface."""
    _read(_framed(ServerSentEvents, data), [name for name in ADAPTERS if name != "bedrock-converse"])


def event_streams(data: bytes) -> None:
    """The same for Amazon's frames."""
    _read(_framed(EventStream, data), ["bedrock-converse"])


def _read(events: list[str], protocols: list[Any]) -> None:
    for protocol in protocols:
        for surface in SURFACES:
            stream = _exchange(surface, _PROVIDERS[protocol], streamed=True).stream
            with suppress(ProtocolError, ProviderFailure):
                for event in events:
                    if event != "[DONE]":
                        stream.event(event).encode()
                stream.finish(None if stream.usage else _COUNTED).encode()


def answers(data: bytes) -> None:
    """A whole answer of each protocol, for each surface."""
    for provider in _PROVIDERS.values():
        for surface in SURFACES:
            with suppress(ProtocolError, ProviderFailure):
                whole = _exchange(surface, provider, streamed=False).whole(data)
                whole.body(None if whole.usage else _COUNTED).encode()


def packed(data: bytes) -> None:
    """An answer in a content coding."""
    for coding in ("gzip", "deflate"):
        unpacking, size = Unpacking(coding), 0
        with suppress(UnpackingError):
            for piece in unpacking.feed(data):
                assert 0 < len(piece) <= PIECE_BYTES
                size += len(piece)
                if size > 4 * 1024 * 1024:
                    break


def _public(kid: str) -> Ed25519PublicKey | None:
    return KEY.public_key() if kid == "one" else None


def tokens(data: bytes) -> None:
    """A token: the one of the corpus is believed, and no other text."""
    text = data.decode("latin-1")
    try:
        verify(text, _public, NOW_S)
    except TokenError:
        return
    assert data in corpus_of("tokens"), "another text of a token is believed"


def grants(data: bytes) -> None:
    """A sealed grant: what opens is what was sealed."""
    with suppress(ValidationError, SealError):
        grant = SealedGrant.model_validate_json(data)
        opened = open_grant(grant, EPOCH.key(0), request_id=REQUEST_ID, now_ms=0)
        assert opened.reveal() == "sk-corpus"
        assert (grant.provider_id, grant.expires_at_ms, grant.byok) == ("stub", 1_795_000_000_000, False)


def policies(data: bytes) -> None:
    """An organization's rules, and what follows from them for a request and an answer."""
    try:
        policy = PolicySet.model_validate_json(data)
    except ValidationError:
        return
    daily_limit(policy, "a")
    if policy.models:
        policy.models.match("anthropic/claude")
    if policy.guardrails:
        texts = "mail a.b@example.com, card 4111 1111 1111 1111, +49 30 1234567, sk-aaaaaaaaaaaaaaaaaaaa"
        checked = Checked(
            {"messages": [{"role": "user", "content": texts}], "tools": [{"name": "t"}]}, policy.guardrails
        )
        for _ in checked.steps():
            pass
        growing = Growing(policy.guardrails.answers or AnswerRules())
        with suppress(AnswerRefused):
            growing.feed(texts[:30])
            growing.feed(texts[30:])
            growing.end()


def texts(data: bytes) -> None:
    """What somebody writes, under every rule on texts."""
    text = data.decode("utf-8", "replace")
    kinds = ["email", "phone", "credit_card", "iban", "ip", "secret"]
    rules = AnswerRules.model_validate({"redact": kinds, "words_deny": ["confidential"]})
    with suppress(AnswerRefused):
        whole = Growing(rules)
        expected = whole.feed(text) + whole.end()
        growing = Growing(rules)
        assert "".join(growing.feed(text[at : at + 7]) for at in range(0, len(text), 7)) + growing.end() == expected


def records(data: bytes) -> None:
    """A record on every topic, as every type that it has."""
    for topic in TOPICS:
        for kind in topic.records:
            with suppress(NotARecord):
                decode(topic, data, [(TYPE, (TYPE_PREFIX + kind.__name__).encode())])


def documents(data: bytes) -> None:
    """A configuration that an operator applies."""
    with suppress(DocumentError, UnicodeDecodeError):
        read_config(data.decode(), environment=False)


def parsers(data: bytes) -> None:
    """A body as the ingress reads it is the body that the relay sends on: else who checks and who acts see two."""
    try:
        ours = from_json(data, allow_inf_nan=False)
    except ValueError:
        return
    assert exact_json.decode(data) == ours
    if isinstance(ours, dict):
        assert PromptSubmitted(request_id=REQUEST_ID, content=data).body == ours


@dataclass(frozen=True, slots=True)
class Target:
    """One of them."""

    feed: Callable[[bytes], None]
    share: float = 1.0
    """Of the inputs: where one costs more there are fewer."""


TARGETS: dict[str, Target] = {
    "bodies": Target(bodies),
    "forms": Target(forms),
    "server-sent-events": Target(server_sent_events, 0.1),
    "event-streams": Target(event_streams, 0.3),
    "answers": Target(answers, 0.2),
    "packed": Target(packed, 0.1),
    "tokens": Target(tokens),
    "grants": Target(grants),
    "policies": Target(policies, 0.5),
    "texts": Target(texts, 0.2),
    "records": Target(records, 0.1),
    "documents": Target(documents, 0.02),
    "parsers": Target(parsers),
}
