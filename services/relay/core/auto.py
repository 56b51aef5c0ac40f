"""How a model is asked that was chosen for the client (``kilo-auto/*``), where the client leaves it open. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.requests import CallableRequest, Surface
from libs.chat.providers.answers import Exchange

_OURS = frozenset({"output_config", "reasoning", "reasoning_effort", "text", "verbosity"})
"""Fields that `in_manner` may add."""


def in_manner(body: dict[str, Any], request: CallableRequest) -> dict[str, Any]:
    """A request's body with the effort and the verbosity of the choice, each as the surface has it."""
    if request.effort is None and request.verbosity is None:
        return body
    match request.surface:
        case Surface.CHAT_COMPLETIONS:
            open_ = "reasoning" not in body and "reasoning_effort" not in body
            effort = {"reasoning_effort": request.effort} if request.effort and open_ else {}
            return {"verbosity": request.verbosity, **effort, **body} if request.verbosity else {**effort, **body}
        case Surface.RESPONSES:
            return _within(_within(body, "reasoning", "effort", request.effort), "text", "verbosity", request.verbosity)
        case Surface.MESSAGES if "thinking" not in body:
            return _within(body, "output_config", "effort", request.effort)
    return body


def as_client_asked(exchange: Exchange, body: Mapping[str, Any]) -> Exchange:
    """The exchange, which does not name as left out what the client had not asked for."""
    if not exchange.outgoing.dropped:
        return exchange
    unasked = _OURS - body.keys()
    dropped = tuple(name for name in exchange.outgoing.dropped if name not in unasked)
    return replace(exchange, outgoing=replace(exchange.outgoing, dropped=dropped))


def _within(body: dict[str, Any], field: str, name: str, value: str | None) -> dict[str, Any]:
    given = body.get(field)
    if value is None or not (given is None or isinstance(given, dict)):
        return body
    return {**body, field: {name: value, **(given or {})}}
