"""The client's headers that are for the provider. Pure.

Only what is listed goes upstream: all other headers are about the client, or about its connection with the gateway.
"""

import re
from collections.abc import Callable, Mapping

from services.ingress.core.errors import BadRequest

MOST_FEATURES = 32
_FEATURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def upstream_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that providers may be sent, in the form that they are sent in. Which provider gets which, the relay knows.

    Args:
        headers: by lower-case name, as `services.ingress.core.admission.header_map` gives them.

    Raises:
        BadRequest: one is not of the form that its provider documents.
    """
    return {name: value for name, read in _READERS.items() if (value := read(name, headers.get(name, "")))}


def _features(name: str, value: str) -> str:
    """Names of features, as Anthropic's reference has them ("Beta headers"): each once, in the client's order."""
    features = dict.fromkeys(feature for one in value.split(",") if (feature := one.strip()))
    if len(features) > MOST_FEATURES or not all(_FEATURE.match(feature) for feature in features):
        raise BadRequest(f"The header {name} must be a list of at most {MOST_FEATURES} names of features.")
    return ",".join(features)


_READERS: dict[str, Callable[[str, str], str]] = {"anthropic-beta": _features}
