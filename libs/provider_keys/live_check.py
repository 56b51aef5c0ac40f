"""Does a provider take a key? Asked of its list of models, which costs nothing."""

import httpx

from libs.chat.providers.errors import is_about_the_key, provider_refusal
from libs.chat.providers.platforms import check_of
from libs.config.gateway import Provider
from libs.provider_keys.access_tokens import AccessTokens, NoTokenError, TokenRefusedError
from libs.provider_keys.documents import KeyFormError
from libs.sealing.secret import Secret

WITHIN_S = 10.0


class NoAnswerError(Exception):
    """The provider gave no verdict on the key. The message names the reason, without the key."""


async def refusal_of(provider_id: str, provider: Provider, key: Secret) -> str | None:
    """None where the provider takes the key, else the message of its refusal.

    Raises:
        NoAnswerError: it cannot be reached, or fails.
    """
    if provider.platform == "vertex":
        return await _refusal_of_account(provider, key)
    try:
        asked = check_of(provider)(key.reveal(), provider.base_url.rstrip("/"))
    except KeyFormError as error:
        return str(error)
    try:
        async with httpx.AsyncClient(timeout=WITHIN_S) as http:
            answer = await http.get(asked.url, headers=asked.headers)
    except httpx.HTTPError:
        raise NoAnswerError(f"{provider_id} does not answer") from None
    if is_about_the_key(answer.status_code, answer.content):
        refusal = provider_refusal(answer.status_code, answer.content[:65_536], provider_id=provider_id, byok=True)
        return refusal.message
    if answer.is_error:
        raise NoAnswerError(f"{provider_id} answered {answer.status_code} to the check")
    return None


async def _refusal_of_account(provider: Provider, key: Secret) -> str | None:
    """A service account is taken where it gets an access token; what it may do then shows with the first request."""
    try:
        await AccessTokens().of(key, provider.token_url)
    except NoTokenError as error:
        raise NoAnswerError(str(error)) from None
    except (TokenRefusedError, KeyFormError) as error:
        return str(error)
    return None
