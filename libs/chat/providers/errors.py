"""What a provider's failure is to our client, in one table."""

from typing import Any

import orjson

from contracts.record import Refusal

_MESSAGE_BYTES = 1_000
RETRY_AFTER = "provider_retry_after_s"
"""In a refusal's metadata: what the provider itself has said."""
_RETRY_AFTER_S = 5
"""Where the provider does not say when."""


def provider_refusal(
    status: int, body: bytes, *, provider_id: str, byok: bool, retry_after_s: int | None = None
) -> Refusal:
    """Maps an HTTP error of a provider.

    A fault of the client's request is passed on with the provider's words. A fault of *our* key or account is our
    affair (502, 503), unless the key is the client's own.

    Args:
        status: the provider's HTTP status, 400 or above.
        body: the provider's answer, as far as it was read.
        retry_after_s: when the provider wants to be asked again; see `libs.chat.providers.retry_after`.
    """
    words = _message(body)
    metadata: dict[str, str | int | float | bool | None] = {"provider": provider_id, "provider_status": status}
    if retry_after_s is not None:
        metadata[RETRY_AFTER] = retry_after_s
    soon_s = _RETRY_AFTER_S if retry_after_s is None else retry_after_s

    def said(code: int, message: str, wait_s: int | None = None) -> Refusal:
        return Refusal(status=code, message=message, metadata=metadata, retry_after_s=wait_s)

    if is_about_the_key(status, body):
        if byok:
            code = 401 if status == 400 else status
            return said(code, f"Your own key for {provider_id} was refused by the provider: {words}")
        return said(
            502, f"The provider {provider_id} refused the gateway's credentials; its operator has to mend this."
        )
    if status == 402 and byok:
        return said(402, f"Your own account at {provider_id}: {words}")
    if status == 402:
        away = f"The provider {provider_id} is not available at the moment; try again later or use another model."
        return said(503, away, 60)
    if status == 429:
        return said(429, f"The provider {provider_id} is rate limiting: {words}", soon_s)
    if status == 413 or (400 <= status < 500 and status not in (404, 405, 407, 408)):
        return said(413 if status == 413 else 400, f"{provider_id}: {words}")
    if status == 503:
        return said(503, f"The provider {provider_id} is overloaded; try again.", soon_s)
    return said(502, f"The provider {provider_id} failed (HTTP {status}); try again.")


def is_about_the_key(status: int, body: bytes) -> bool:
    """The key is the reason; Google says so with 400 ("API key not valid", reason ``API_KEY_INVALID``)."""
    return status in (401, 403) or (status == 400 and b"API_KEY_INVALID" in body)


def unreachable(provider_id: str) -> Refusal:
    """No connection could be made."""
    return Refusal(
        status=503,
        message=f"The provider {provider_id} could not be reached; try again later or use another model.",
        metadata={"provider": provider_id},
        retry_after_s=_RETRY_AFTER_S,
    )


def timed_out(provider_id: str, what: str) -> Refusal:
    """The provider, or the whole request, took too long. ``what`` ends "... did not "."""
    return Refusal(
        status=504, message=f"The provider {provider_id} did not {what}; try again.", metadata={"provider": provider_id}
    )


def failed_in_answer(provider_id: str, words: str) -> Refusal:
    """The answer, or an event of it, is an error."""
    return Refusal(
        status=502,
        message=f"The provider {provider_id} failed: {words[:_MESSAGE_BYTES]}",
        metadata={"provider": provider_id},
    )


def broke_off(provider_id: str) -> Refusal:
    """The connection ended before the answer did, or the answer made no sense."""
    return Refusal(
        status=502,
        message=f"The provider {provider_id} broke off its answer, or gave none that makes sense; try again.",
        metadata={"provider": provider_id},
    )


def _message(body: bytes) -> str:
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "it gave no reason"
    if isinstance(parsed, list) and parsed:
        # Google's errors of streams stand in a list.
        parsed = parsed[0]
    found = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
    if isinstance(found, dict):
        found = found.get("message") or found.get("Message") or found.get("detail")
    return found[:_MESSAGE_BYTES] if isinstance(found, str) and found else "it gave no reason"
