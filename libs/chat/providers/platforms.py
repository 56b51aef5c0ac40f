"""Clouds that serve other companies' models by protocols of theirs, with keys and addresses of their own. Sans-I/O.

Source: Google Cloud, "Vertex AI REST" (access tokens as bearer tokens); Microsoft, "Azure OpenAI in Microsoft Foundry
Models v1 API" (``api-key``).
"""

from collections.abc import Callable

from libs.chat.providers.protocol import Addressed, bearer
from libs.chat.providers.registry import ADAPTERS
from libs.config.providers import Provider
from libs.provider_keys.documents import azure_key


def authorize_of(provider: Provider) -> Callable[[str, str, bytes], Addressed]:
    """Of a key, the URL and the content of a POST: where it goes, and what proves who sends it. Raises KeyFormError.

    On Vertex AI the key is the access token that the service account was given.
    """
    match provider.platform:
        case "vertex":
            return bearer
        case "azure":
            return _on_azure
    return ADAPTERS[provider.protocol].authorize


def check_of(provider: Provider) -> Callable[[str, str], Addressed]:
    """Of a key and a base URL: what a GET asks to learn whether the key is taken. Raises KeyFormError."""
    if provider.platform == "azure":
        return lambda key, base_url: _on_azure(key, f"{base_url}/models", b"")
    return ADAPTERS[provider.protocol].check


def _on_azure(key: str, url: str, _content: bytes) -> Addressed:
    if not key:
        return Addressed(url, {})
    found = azure_key(key, wants_resource="{resource}" in url)
    return Addressed(url.replace("{resource}", found.resource or ""), {"api-key": found.key})
