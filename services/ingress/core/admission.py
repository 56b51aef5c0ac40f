"""From a client's headers and body to the record of an accepted request. Pure."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic_core import from_json

from contracts.prices import Price
from contracts.record import ReplyAddress
from contracts.requests import FIM_MOST_TOKENS, Caller, RequestAccepted, Surface
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.writer import SurfaceError
from libs.config.auto import choose
from libs.config.gateway import AutoModel, Limits, Model, Timeouts
from libs.pricing.bounds import Size, size_of
from services.ingress.core.errors import BadRequest, Unauthorized, WrongContentType
from services.ingress.core.preferences import NONE, Preferences, preferences

MOST_HEADER_CHARACTERS = 256
MOST_MODEL_CHARACTERS = 200
MOST_CHOICES = 128
_TAGS = {"task_id": "x-kilocode-taskid", "client_version": "x-kilocode-version", "mode": "x-kilocode-mode"}
_FORWARDED_FOR = re.compile(r"""(?:^|;)\s*for=("[^"]*"|[^;,\s]+)""", re.IGNORECASE)
ORGANIZATION_HEADER = "x-kilocode-organizationid"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gateway itself must know of a request; the rest is the provider's to judge."""

    surface: Surface
    model: str
    stream: bool
    max_tokens: int | None
    choices: int
    size: Size
    wanted: Preferences = NONE
    """Of the choice among providers."""
    asked_model: str | None = None
    """What the client named, where that stands for another."""

    @property
    def free(self) -> bool:
        """Anybody may ask, and nobody pays."""
        return self.model.endswith(":free")


def header_map(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name.

    Raises:
        BadRequest: two Authorization headers: which one would count?
    """
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        if key == "authorization" and key in found:
            raise BadRequest("There are two Authorization headers; send one.")
        found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
    return found


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raises WrongContentType for anything but JSON."""
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("Send `Content-Type: application/json`.")


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The API key, or None where there is no header for one at all. Anthropic's clients send it as ``x-api-key``.

    Raises:
        Unauthorized: the header is there but holds no bearer token; that is never taken for "no key".
    """
    given = headers.get("authorization")
    if given is None:
        alone = headers.get("x-api-key")
        if alone is not None and not alone.strip():
            raise Unauthorized("The header `x-api-key` is empty.")
        return alone.strip() if alone else None
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Send `Authorization: Bearer <api key>`.")
    return token.strip()


def organization_of(headers: Mapping[str, str]) -> str | None:
    """The organization that the client names, if any."""
    return _tag(headers, ORGANIZATION_HEADER)


def parse(surface: Surface, raw: bytes) -> Asked:
    """Reads a request of any surface.

    Raises:
        BadRequest: it is not JSON, or lacks what every request of the surface has.
    """
    body = _object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest('`model` is missing: name one of GET /models, for example "model": "openai/gpt-5-mini".')
    if len(model) > MOST_MODEL_CHARACTERS or not model.isprintable():
        raise BadRequest(f"`model` must be at most {MOST_MODEL_CHARACTERS} printable characters.")
    stream = body.get("stream", False)
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("`stream` must be true or false.")
    messages, limit, choices = _PARSERS[surface](body)
    wanted = preferences(body.get("provider"))
    size = size_of(messages, len(raw))
    return Asked(surface, model, bool(stream), limit, choices, size, wanted)


_Sizes = tuple[list[Any], int | None, int]
"""The messages as a chat completion has them, the limit of output tokens, and how many choices."""


def _chat(body: dict[str, Any]) -> _Sizes:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("`messages` must be a list of at least one message.")
    limits = [limit for name in ("max_completion_tokens", "max_tokens") if (limit := _limit(body, name)) is not None]
    choices = 1 if body.get("n") is None else body["n"]
    if not isinstance(choices, int) or isinstance(choices, bool) or not 1 <= choices <= MOST_CHOICES:
        raise BadRequest(f"`n` must be a whole number from 1 to {MOST_CHOICES}.")
    return messages, max(limits, default=None), choices


def _translated(surface: Surface, field: str, body: dict[str, Any]) -> _Sizes:
    limit = _limit(body, field)
    try:
        chat = DIALECTS[surface].to_chat(body)
    except SurfaceError as error:
        raise BadRequest(str(error)) from None
    return chat["messages"], limit, 1


def _embeddings(body: dict[str, Any]) -> _Sizes:
    if not body.get("input") or not isinstance(body["input"], str | list):
        raise BadRequest("`input` must be text, or a list of texts or tokens.")
    if body.get("stream"):
        raise BadRequest("embeddings are not streamed.")
    return [], 0, 1


def _fim(body: dict[str, Any]) -> _Sizes:
    if not isinstance(body.get("prompt"), str):
        raise BadRequest("`prompt` must be text: what stands before the place to fill.")
    limit = _limit(body, "max_tokens")
    return [], min(limit or FIM_MOST_TOKENS, FIM_MOST_TOKENS), 1


def _limit(body: dict[str, Any], name: str) -> int | None:
    limit = body.get(name)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequest(f"`{name}` must be a whole number of at least 1.")
    return limit


_PARSERS: dict[Surface, Callable[[dict[str, Any]], _Sizes]] = {
    Surface.CHAT_COMPLETIONS: _chat,
    Surface.RESPONSES: partial(_translated, Surface.RESPONSES, "max_output_tokens"),
    Surface.MESSAGES: partial(_translated, Surface.MESSAGES, "max_tokens"),
    Surface.EMBEDDINGS: _embeddings,
    Surface.FIM: _fim,
}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        # In a list, as deep as it will lie in `PromptSubmitted`; and one value only, so that nothing can follow it.
        (body,) = from_json(b"[" + raw + b"]", allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {_without_values(error)}.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _without_values(error: ValueError) -> str:
    text = str(error)
    return text if len(text) < 120 and "line" in text else "it does not hold one value"


def client_ip(peer: str, headers: Mapping[str, str], trusted_proxies: int) -> str:
    """The address that a client is known by; IPv6 as its /64.

    Args:
        peer: the address at the other end of the connection.
        headers: ``Forwarded`` (RFC 7239) or else ``X-Forwarded-For``, of which only what trusted proxies wrote counts.
        trusted_proxies: how many of them there are.
    """
    address = peer
    hops = _hops(headers) if trusted_proxies else []
    if hops:
        address = hops[-min(trusted_proxies, len(hops))]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        try:
            parsed = ipaddress.ip_address(peer)
        except ValueError:
            return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _hops(headers: Mapping[str, str]) -> list[str]:
    """The addresses that proxies wrote, the nearest last."""
    if "forwarded" in headers:
        found = (_FORWARDED_FOR.search(hop) for hop in headers["forwarded"].split(","))
        return [_without_port(hop.group(1)) if hop else "" for hop in found]
    return [_without_port(hop.strip()) for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]


def _without_port(node: str) -> str:
    node = node.strip('"')
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def resolve(
    asked: Asked,
    caller: Caller | None,
    headers: Mapping[str, str],
    *,
    autos: Mapping[str, AutoModel],
    ip: str,
    has_balance: bool,
) -> Asked:
    """The same request for the model that its name stands for; most names stand for themselves."""
    auto = autos.get(asked.model)
    if auto is None:
        return asked
    task = _tag(headers, _TAGS["task_id"]) or ""
    chosen = choose(
        auto,
        mode=_tag(headers, _TAGS["mode"]),
        surface=asked.surface.value,
        affinity=f"{caller.owner if caller else ip}/{task}",
        has_balance=has_balance,
    )
    return replace(asked, model=chosen, asked_model=asked.model)


def accept(
    asked: Asked,
    caller: Caller | None,
    headers: Mapping[str, str],
    *,
    request_id: str,
    ip: str,
    prices: dict[str, Price],
    model: Model | None,
    prompt_bytes: int,
    reply_to: ReplyAddress,
    limits: Limits,
    timeouts: Timeouts,
    now_ms: int,
) -> RequestAccepted:
    """The record of a request that is let in.

    Args:
        caller: None for an anonymous client, who may ask for free models only.
        ip: as `client_ip` gives it; free models count against it whoever asks.
        prices: of the model, now, by provider.
        model: as it is configured, if it is.

    Raises:
        Unauthorized: a paid model without a key.
        BadRequest: a header is too long, or the request certainly does not fit into the model's context window.
    """
    if caller is None and not asked.free:
        raise Unauthorized("This model needs an API key: send `Authorization: Bearer <api key>`.")
    who = caller or Caller()
    if asked.free:
        who, subject = who.model_copy(update={"ip": ip}), f"ip:{ip}"
    else:
        subject = who.owner
    cap = 0
    if asked.max_tokens is None:
        cap = (model.max_output_tokens if model else None) or limits.output_tokens
    context = model.context_length if model else None
    if context and asked.size.tokens_least > context:
        raise BadRequest(
            f"The context window of {asked.model!r} has {context} tokens, and this request about "
            f"{asked.size.tokens_about}; shorten it, or use a model with a larger one."
        )
    return RequestAccepted(
        request_id=request_id,
        subject=subject,
        caller=who,
        surface=asked.surface,
        model=asked.model,
        asked_model=asked.asked_model,
        stream=asked.stream,
        free=asked.free,
        prices=prices,
        provider_order=list(asked.wanted.order),
        provider_only=list(asked.wanted.only),
        provider_ignore=list(asked.wanted.ignore),
        provider_sort=asked.wanted.sort,
        deny_data_collection=asked.wanted.deny_data_collection,
        allow_fallbacks=asked.wanted.allow_fallbacks,
        accepted_at_ms=now_ms,
        route_by_ms=now_ms + int(timeouts.route_s * 1000),
        deadline_ms=now_ms + int(timeouts.request_s * 1000),
        prompt_bytes=prompt_bytes,
        max_tokens=asked.max_tokens,
        cap_tokens=cap or None,
        input_tokens_most=min(asked.size.tokens_most, context or asked.size.tokens_most),
        output_tokens_most=(asked.max_tokens if asked.max_tokens is not None else cap) * asked.choices,
        reply_to=reply_to,
        **{field: _tag(headers, name) for field, name in _TAGS.items()},
    )


def _tag(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None or not value.strip():
        return None
    if len(value) > MOST_HEADER_CHARACTERS or not value.isprintable():
        raise BadRequest(f"The header {name} must be at most {MOST_HEADER_CHARACTERS} printable characters.")
    return value.strip()
