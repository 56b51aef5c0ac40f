"""What a request wants of the answer cache. Pure.

Sources: RFC 9111, section 5.2.1 (``Cache-Control`` of requests); LiteLLM, "Caching" (``cache`` of a body).
"""

import re
from collections.abc import Mapping
from typing import Any

from contracts.answers import MOST_TTL_S, CacheUse
from contracts.requests import Caller, Surface
from libs.config.gateway import AnswerCaching
from services.ingress.core.errors import BadRequest

HEADER = "x-sluice-cache"
_SURFACES = frozenset(
    {
        Surface.CHAT_COMPLETIONS,
        Surface.RESPONSES,
        Surface.MESSAGES,
        Surface.EMBEDDINGS,
        Surface.COMPLETIONS,
        Surface.FIM,
    }
)
_WORDS = frozenset({"on", "off", "shared", "join"})
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})\Z")
_TTL = re.compile(r"ttl=([0-9]{1,9})\Z")


def cache_use(
    surface: Surface, body: Mapping[str, Any], headers: Mapping[str, str], caller: Caller | None, config: AnswerCaching
) -> CacheUse | None:
    """None: nothing is looked up, and nothing kept. The header goes before the body, and both before the configuration.

    Raises:
        BadRequest: a wish that is none of those that there are.
    """
    given, header = body.get("cache"), headers.get(HEADER)
    if given is None and header is None and not config.enabled:
        return None
    if caller is None or surface not in _SURFACES or body.get("store") is True:
        return None
    wanted: dict[str, Any] = {"on": config.enabled, "ttl": config.ttl_s, "shared": False, "join": False}
    if given is not None:
        wanted |= _of_body(given)
    if header is not None:
        wanted |= _of_header(header)
    control = _directives(headers.get("cache-control", ""))
    reads = not (wanted.get("no-cache") or control.keys() & {"no-cache", "no-store"})
    writes = not (wanted.get("no-store") or "no-store" in control)
    ages = [age for age in (wanted.get("s-maxage"), control.get("max-age")) if age is not None]
    if not wanted["on"] or not (reads or writes):
        return None
    return CacheUse(
        ttl_s=max(1, min(wanted["ttl"], MOST_TTL_S)),
        reads=reads,
        writes=writes,
        max_age_s=min(ages) if ages else None,
        shared=wanted["shared"],
        joins=wanted["join"],
    )


def _of_body(given: Any) -> dict[str, Any]:
    if isinstance(given, bool):
        return {"on": given}
    if not isinstance(given, dict):
        raise BadRequest('`cache` must be true, false or an object, for example {"ttl": 600}.')
    found: dict[str, Any] = {"on": given.get("use-cache", True) is not False}
    for name in ("ttl", "s-maxage"):
        value = given.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadRequest(f"`cache.{name}` must be a whole number of seconds.")
        found[name] = value
    for name in ("no-cache", "no-store", "shared", "join"):
        if given.get(name) is not None:
            found[name] = given[name] is True
    return found


def _of_header(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {"on": True}
    for word in (one.strip().lower() for one in text.split(",")):
        if ttl := _TTL.match(word):
            found["ttl"] = int(ttl[1])
        elif word in ("on", "off"):
            found["on"] = word == "on"
        elif word in _WORDS:
            found[word] = True
        elif word:
            raise BadRequest(f"{HEADER} is a list of on, off, shared, join and ttl=SECONDS.")
    return found


def _directives(text: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for one in text.split(","):
        name = one.strip().lower()
        if age := _MAX_AGE.match(name):
            found["max-age"] = int(age[1])
        elif name:
            found[name] = None
    return found
