"""Does a provider take a key? Asked of its list of models, which costs nothing."""

import asyncio

import httpx

from libs.chat.providers.errors import is_about_the_key, provider_refusal
from libs.chat.providers.platforms import check_of
from libs.config.providers import Provider
from libs.provider_keys.access_tokens import AccessTokens, NoTokenError, TokenRefusedError
from libs.provider_keys.documents import KeyFormError
from libs.runtime.budget import Budget
from libs.sealing.secret import Secret

WITHIN_S = 5.0
"""In whole: a provider that sends a byte now and then is not waited for any longer."""
ANSWER_BYTES = 64 * 1024
MOST_OF_OWNER = 2
MOST = 16


class NoAnswerError(Exception):
    """The provider gave no verdict on the key. The message names the reason, without the key."""


class LiveChecks:
    """Checks of one process; only so many run at the same time, for one owner and altogether."""

    def __init__(self) -> None:
        self._running = Budget(MOST, MOST_OF_OWNER)

    async def refusal_of(self, owner: str, provider_id: str, provider: Provider, key: Secret) -> str | None:
        """None where the provider takes the key, else the message of its refusal.

        Raises:
            NoAnswerError: it cannot be reached, fails, or too many checks run already.
        """
        if not self._running.take(owner):
            raise NoAnswerError("too many keys are being checked; try again in a moment")
        try:
            async with asyncio.timeout(WITHIN_S):
                return await _refusal_of(provider_id, provider, key)
        except (TimeoutError, httpx.HTTPError):
            raise NoAnswerError(f"{provider_id} does not answer") from None
        finally:
            self._running.give(owner)


async def _refusal_of(provider_id: str, provider: Provider, key: Secret) -> str | None:
    if provider.platform == "vertex":
        return await _refusal_of_account(provider, key)
    try:
        asked = check_of(provider)(key.reveal(), provider.base_url.rstrip("/"))
    except KeyFormError as error:
        return str(error)
    content = bytearray()
    async with (
        httpx.AsyncClient(timeout=WITHIN_S) as http,
        http.stream("GET", asked.url, headers=asked.headers) as answer,
    ):
        if answer.is_error:
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > ANSWER_BYTES:
                    break
    if is_about_the_key(answer.status_code, bytes(content)):
        refusal = provider_refusal(answer.status_code, bytes(content), provider_id=provider_id, byok=True)
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
