"""Clouds that serve other companies' models: addresses, proofs and bodies."""

import json
from typing import Any

import pytest

from contracts.requests import Surface
from libs.chat.providers.exchange import exchange
from libs.chat.providers.platforms import check_of
from libs.chat.providers.protocol import Call
from libs.chat.surfaces.writer import SurfaceError
from libs.config.gateway import load_config
from libs.config.providers import Model, Provider
from libs.provider_keys.documents import KeyFormError

GOOGLE = load_config(None).providers["vertex"]
CLAUDE = Model(id="a/c", provider="vertex", upstream_model="claude@1", protocol="anthropic-messages").adapt(GOOGLE)
AZURE = load_config(None).providers["azure"]
KEY = json.dumps({"apiKey": "secret", "resource": "mine"})


def _call(surface: Surface, *, streamed: bool = False, **body: Any) -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}], **body}
    return Call(surface, body, "a/c", "claude@1", streamed=streamed, cap_tokens=None, most_tokens=9, created_s=0)


@pytest.mark.parametrize("surface", [Surface.CHAT_COMPLETIONS, Surface.MESSAGES])
@pytest.mark.parametrize(("streamed", "method"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_claude_on_vertex_ai_has_its_model_in_the_path(surface: Surface, streamed: bool, method: str) -> None:
    found = exchange(_call(surface, streamed=streamed, max_tokens=5), CLAUDE)
    assert found.outgoing.path == f"/publishers/anthropic/models/claude@1:{method}"
    sent = json.loads(found.outgoing.content)
    assert (sent["anthropic_version"], sent["max_tokens"]) == ("vertex-2023-10-16", 5)
    assert "model" not in sent


def test_gemini_on_vertex_ai_is_google_s_and_takes_an_access_token() -> None:
    found = exchange(_call(Surface.CHAT_COMPLETIONS), GOOGLE)
    assert found.outgoing.path == "/publishers/google/models/claude%401:generateContent"
    assert found.authorize("token", "https://x", b"").headers == {"Authorization": "Bearer token"}
    assert exchange(_call(Surface.MESSAGES), CLAUDE).authorize("token", "https://x", b"").headers == {
        "Authorization": "Bearer token"
    }


def test_embeddings_are_not_asked_of_vertex_ai_in_the_form_of_google_ai_studio() -> None:
    with pytest.raises(SurfaceError, match="has no embeddings"):
        exchange(_call(Surface.EMBEDDINGS, input="x"), GOOGLE)


def test_a_key_of_azure_names_its_resource_or_the_address_does() -> None:
    found = exchange(_call(Surface.CHAT_COMPLETIONS), AZURE)
    url = AZURE.base_url + found.outgoing.path
    address = found.authorize(KEY, url, b"")
    assert address.url == "https://mine.openai.azure.com/openai/v1/chat/completions"
    assert address.headers == {"api-key": "secret"}
    assert "secret" not in repr(address)
    assert check_of(AZURE)(KEY, AZURE.base_url).url == "https://mine.openai.azure.com/openai/v1/models"
    own = Provider(base_url="https://one.openai.azure.com/openai/v1", platform="azure")
    plain = exchange(_call(Surface.CHAT_COMPLETIONS), own).authorize("plain", own.base_url, b"")
    assert (plain.url, plain.headers) == (own.base_url, {"api-key": "plain"})
    with pytest.raises(KeyFormError):
        found.authorize("plain", url, b"")
