"""What a client wants of the choice among a model's providers. Pure.

The shape of ``provider`` is OpenRouter's ("Provider Routing"). What this gateway cannot promise is refused: a wish
about who may see a prompt must not be passed over in silence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.requests import ProviderSort
from services.ingress.core.errors import BadRequest

MOST_PROVIDERS = 20
MOST_NAME = 100
_SORTS = {sort.value: sort for sort in ProviderSort}


@dataclass(frozen=True, slots=True)
class Preferences:
    """Nothing in particular, unless said."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: ProviderSort | None = None
    allow_fallbacks: bool = True
    deny_data_collection: bool = False


NONE = Preferences()


def preferences(wanted: Any) -> Preferences:
    """Reads a request's ``provider``.

    Raises:
        BadRequest: it is not of that shape, or wants what nobody here can promise.
    """
    if wanted is None:
        return NONE
    if not isinstance(wanted, dict):
        raise BadRequest('`provider` must be an object, for example {"order": ["openai"], "allow_fallbacks": false}.')
    # What is empty asks for nothing.
    said = {name: value for name, value in wanted.items() if value not in (None, [], {}) or name == "allow_fallbacks"}
    unknown = sorted(name for name, value in said.items() if name not in _READERS and value is not False)
    if unknown:
        known = ", ".join(_READERS)
        raise BadRequest(f"`provider.{unknown[0]}` is nothing that this gateway can promise; it knows {known}.")
    read = {field: reader(name, said[name]) for name, (field, reader) in _READERS.items() if name in said}
    return Preferences(**read)


def _providers(name: str, value: Any) -> tuple[str, ...]:
    named = isinstance(value, list) and all(isinstance(one, str) and len(one) <= MOST_NAME for one in value)
    if not named or len(value) > MOST_PROVIDERS:
        raise BadRequest(
            f"`provider.{name}` must be a list of at most {MOST_PROVIDERS} providers; GET /providers lists them."
        )
    return tuple(value)


def _sort(name: str, value: Any) -> ProviderSort:
    by = value.get("by") if isinstance(value, dict) else value
    if not isinstance(by, str) or by not in _SORTS:
        raise BadRequest(f"`provider.{name}` must be one of {', '.join(_SORTS)}.")
    return _SORTS[by]


def _flag(name: str, value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise BadRequest(f"`provider.{name}` must be true or false.")
    return value


def _denies(name: str, value: Any) -> bool:
    if value not in ("allow", "deny"):
        raise BadRequest(f'`provider.{name}` must be "allow" or "deny".')
    return bool(value == "deny")


_READERS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "order": ("order", _providers),
    "only": ("only", _providers),
    "ignore": ("ignore", _providers),
    "sort": ("sort", _sort),
    "allow_fallbacks": ("allow_fallbacks", _flag),
    "data_collection": ("deny_data_collection", _denies),
}
