"""Tags, customer and metadata of a request, in the shapes that clients of several gateways send. Pure.

Sources: the OpenAI API reference (``metadata``, ``user``, ``safety_identifier``); LiteLLM, "Request Tags for Spend
Tracking" and "Customers / End-User Budgets" (``metadata.tags``, ``tags``, ``x-litellm-tags``,
``x-litellm-customer-id``, ``x-litellm-end-user-id``); OpenRouter, "User Tracking" (``user``); Anthropic API reference
(``metadata.user_id``).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from contracts.labels import MOST_CUSTOMER, MOST_NAME, MOST_PAIRS, MOST_TAG, MOST_TAGS, MOST_VALUE, Labels
from services.ingress.core.errors import BadRequest

FIELDS = ("tags", "metadata", "user", "safety_identifier")
"""Of a body, that name what a request is for."""
TAG_HEADERS = ("x-sluice-tags", "x-litellm-tags")
CUSTOMER_HEADERS = ("x-sluice-customer", "x-litellm-customer-id", "x-litellm-end-user-id")
_HEADERS = (*TAG_HEADERS, *CUSTOMER_HEADERS)


def labels(body: Mapping[str, Any], headers: Mapping[str, str]) -> Labels | None:
    """What the client names the request by; None where it does not. A header goes before the body.

    Raises:
        BadRequest: there is too much of it, or it holds what cannot be shown.
    """
    if not any(name in body for name in FIELDS) and not any(name in headers for name in _HEADERS):
        return None
    given = body.get("metadata")
    metadata: dict[str, Any] = given if isinstance(given, dict) else {}
    found = Labels(
        tags=_tags([*(headers.get(name) for name in TAG_HEADERS), body.get("tags"), metadata.get("tags")]),
        customer=_customer(
            [
                *(headers.get(name) for name in CUSTOMER_HEADERS),
                *(body.get(name) for name in ("user", "safety_identifier")),
                metadata.get("user_id"),
            ]
        ),
        metadata=_metadata(metadata),
    )
    return found if found != Labels() else None


def _tags(given: Iterable[Any]) -> list[str]:
    found: dict[str, None] = {}
    for value in given:
        for one in value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ():
            if not isinstance(one, str) or len(one) > MOST_TAG or not one.isprintable():
                raise BadRequest(f"A tag must be text of at most {MOST_TAG} printable characters.")
            if tag := one.strip():
                found[tag] = None
    if len(found) > MOST_TAGS:
        raise BadRequest(f"A request can have at most {MOST_TAGS} tags.")
    return list(found)


def _customer(given: Iterable[Any]) -> str | None:
    for value in given:
        if isinstance(value, str) and (customer := value.strip()):
            if len(customer) > MOST_CUSTOMER or not customer.isprintable():
                raise BadRequest(f"`user`, or whoever it is for, must be at most {MOST_CUSTOMER} printable characters.")
            return customer
    return None


def _metadata(given: Mapping[str, Any]) -> dict[str, str]:
    """Texts, numbers and booleans; what is nested is another gateway's, and is not kept."""
    found = {
        name: value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if name not in ("tags", "user_id") and isinstance(value, str | int | float | bool)
    }
    if len(found) > MOST_PAIRS:
        raise BadRequest(f"`metadata` can have at most {MOST_PAIRS} pairs.")
    for name, value in found.items():
        if len(name) > MOST_NAME or len(value) > MOST_VALUE:
            raise BadRequest(
                f"Each pair of `metadata` can have {MOST_NAME} characters in its name and {MOST_VALUE} in its value."
            )
        if not name.isprintable() or not all(one.isprintable() or one in "\t\r\n" for one in value):
            raise BadRequest("`metadata` must be printable text.")
    return found
