"""Does a provider take a key? Asked of its list of models, which costs nothing."""

import httpx

from libs.config.gateway import Provider
from libs.providers import anthropic_messages, openai_chat
from libs.providers.errors import provider_refusal
from libs.sealing.secret import Secret

WITHIN_S = 10.0


class NoAnswerError(Exception):
    """The provider did not say; the message says why, without the key."""


async def refusal_of(provider_id: str, provider: Provider, key: Secret) -> str | None:
    """None where the provider takes the key, else its refusal in words.

    Raises:
        NoAnswerError: it cannot be reached, or fails.
    """
    url = provider.base_url.rstrip("/") + "/models"
    protocol = anthropic_messages if provider.protocol == "anthropic-messages" else openai_chat
    try:
        async with httpx.AsyncClient(timeout=WITHIN_S) as http:
            answer = await http.get(url, headers=protocol.auth_headers(key.reveal()))
    except httpx.HTTPError:
        raise NoAnswerError(f"{provider_id} does not answer") from None
    if answer.status_code in (401, 403):
        refusal = provider_refusal(
            answer.status_code, answer.content[:65_536], provider_id=provider_id, byok=True, retry_after=None
        )
        return refusal.message
    if answer.is_error:
        raise NoAnswerError(f"{provider_id} answered {answer.status_code} to the check")
    return None
