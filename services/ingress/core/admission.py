"""From a client's headers and body to the record of an accepted request. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contracts.record import JSON, Lasting, ReplyAddress
from contracts.requests import Caller, RequestAccepted, Surface, Voucher, is_free
from libs.chat.surfaces.registry import DIALECTS
from libs.chat.surfaces.writer import SurfaceError, clients_shape
from libs.config.auto import AutoModel, choose
from libs.config.catalog import Catalog, Offer
from libs.config.gateway import AnswerCaching, Limits, Timeouts
from libs.config.providers import Model
from libs.endpoints import multipart
from libs.endpoints.registry import ENDPOINTS, can_have
from libs.policy.rules import unknown_model
from services.ingress.core.bodies import Asked
from services.ingress.core.caching import cache_use
from services.ingress.core.client_headers import upstream_headers
from services.ingress.core.errors import BadRequest, Unauthorized, WrongContentType
from services.ingress.core.labels import labels
from services.ingress.core.retries import retries

MOST_HEADER_CHARACTERS = 256
WITHHELD_FROM_BYTES = 64 * 1024
"""A larger prompt waits until its request has a route."""
_TAGS = {"client_version": "x-kilocode-version", "mode": "x-kilocode-mode"}
_TASKS = ("x-kilocode-taskid", "x-kilo-session", "x-session-id")
"""What names a task; Kilo Code's newer clients name a session in its place, and so do OpenRouter's."""
ANONYMOUS = "anonymous"
"""Kilo Code's clients send this key where they have none."""
ORGANIZATION_HEADER = "x-kilocode-organizationid"
DISCONNECT_HEADER = "x-sluice-on-disconnect"
_LASTING = {"cancel": Lasting.CONNECTION, "continue": Lasting.ANSWER}


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


def content_type_of(headers: Mapping[str, str], surface: Surface) -> str:
    """``application/json``, or the whole type of a form with files, by what the surface takes.

    Raises:
        WrongContentType: the body is of another type, or packed.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongContentType("Send the body as it is, without `Content-Encoding`: packed bodies are not unpacked.")
    given = headers.get("content-type", "")
    endpoint = ENDPOINTS.get(surface)
    wanted = multipart.TYPE if endpoint and endpoint.multipart else JSON
    if given.partition(";")[0].strip().lower() != wanted or len(given) > MOST_HEADER_CHARACTERS:
        raise WrongContentType(f"Send `Content-Type: {wanted}`.")
    return JSON if wanted == JSON else given


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The API key; None where there is no header for one at all, or it says `ANONYMOUS`.

    Anthropic's clients send it as ``x-api-key``.

    Raises:
        Unauthorized: the header is there but holds no bearer token; that is never taken for "no key".
    """
    given = headers.get("authorization")
    if given is None:
        alone = headers.get("x-api-key")
        if alone is not None and not alone.strip():
            raise Unauthorized("The header `x-api-key` is empty.")
        return _unless_anonymous(alone.strip()) if alone else None
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Send `Authorization: Bearer <api key>`.")
    return _unless_anonymous(token.strip())


def _unless_anonymous(token: str) -> str | None:
    return None if token == ANONYMOUS else token


def check_key(model: str, *, has_key: bool) -> None:
    """Raises Unauthorized for a paid model without a key."""
    if not has_key and not is_free(model):
        raise Unauthorized("This model needs an API key: send `Authorization: Bearer <api key>`.")


def organization_of(headers: Mapping[str, str]) -> str | None:
    """The organization that the client names, if any."""
    return _tag(headers, ORGANIZATION_HEADER)


def lasting_of(headers: Mapping[str, str]) -> Lasting:
    """What a client that leaves wants of its answer. Raises BadRequest where the header says neither."""
    wanted = headers.get(DISCONNECT_HEADER, "cancel").strip().lower()
    if wanted not in _LASTING:
        raise BadRequest(f"The header {DISCONNECT_HEADER} is cancel or continue.")
    return _LASTING[wanted]


def check_lasts(headers: Mapping[str, str]) -> None:
    """Raises BadRequest where a client wants both: an answer that others come for, and to end it by leaving."""
    if DISCONNECT_HEADER in headers and lasting_of(headers) is Lasting.CONNECTION:
        raise BadRequest(f"An answer with an Idempotency-Key is not cancelled by leaving; omit {DISCONNECT_HEADER}.")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who comes with a request, when and how, and where the answer is to go."""

    request_id: str
    at_ms: int
    headers: Mapping[str, str]
    caller: Caller | None
    """None for an anonymous client, who may ask for free models only."""
    ip: str
    """The client's, as `libs.identity.addresses.Clients` names it; free models count against it whoever asks."""
    prompt_bytes: int
    reply_to: ReplyAddress
    voucher: Voucher | None = None
    """For the caller."""
    patient: bool = False
    """See `CallableRequest`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms requests are let in now."""

    catalog: Catalog
    """The newest; the request names it."""
    timeouts: Timeouts
    caching: AnswerCaching


def resolve(asked: Asked, arrival: Arrival, autos: Mapping[str, AutoModel], *, has_balance: bool) -> Asked:
    """The same request for the model that its name stands for; most names stand for themselves."""
    auto = autos.get(asked.model)
    if auto is None:
        return asked
    who = arrival.caller.owner if arrival.caller else arrival.ip
    chosen = choose(
        auto,
        mode=_tag(arrival.headers, _TAGS["mode"]),
        surface=asked.surface.value,
        affinity=f"{who}/{_task(arrival.headers) or arrival.request_id}",
        has_balance=has_balance,
    )
    return replace(asked, model=chosen.model, asked_model=asked.model, effort=chosen.effort, verbosity=chosen.verbosity)


def accept(asked: Asked, arrival: Arrival, terms: Terms, others: Sequence[Model] = ()) -> RequestAccepted:
    """The record of a request that is let in.

    Args:
        others: models that may stand in.

    Raises:
        Unauthorized: a paid model without a key.
        BadRequest: the model is not served here, a header is too long, the request certainly does not fit into the
            model's context window, or none of the model's providers can be sent it.
    """
    caller, headers, catalog = arrival.caller, arrival.headers, terms.catalog
    check_key(asked.model, has_key=caller is not None)
    offers = catalog.all_of(asked.model)
    if not offers:
        raise BadRequest(unknown_model(asked.model))
    who = caller or Caller()
    if asked.free:
        who, subject = who.model_copy(update={"ip": arrival.ip}), f"ip:{arrival.ip}"
    else:
        subject = who.owner
    model = offers[0].model
    if model.surfaces and asked.surface not in model.surfaces:
        raise BadRequest(f"{asked.model!r} is for {', '.join(model.surfaces)}; GET /models lists others.")
    cap = 0
    if asked.max_tokens is None:
        # Whichever model answers takes it.
        cap = min(_cap(one, catalog.limits) for one in (model, *others))
    if not asked.size.may_fit(model.context_length):
        raise BadRequest(
            f"The context window of {asked.model!r} has {model.context_length} tokens, and this request about "
            f"{asked.size.tokens_about}; shorten it, or use a model with a larger one."
        )
    again, also_run = retries(headers, catalog.routing.retries)
    return RequestAccepted(
        request_id=arrival.request_id,
        subject=subject,
        caller=who,
        voucher=None if asked.free else arrival.voucher,
        surface=asked.surface,
        model=asked.model,
        asked_model=asked.asked_model,
        effort=asked.effort,
        verbosity=asked.verbosity,
        stream=asked.stream,
        catalog_version=catalog.version,
        stand_ins=[one.id for one in others],
        provider_order=list(asked.wanted.order),
        provider_only=list(_providers(asked, offers)),
        provider_ignore=list(asked.wanted.ignore),
        provider_sort=asked.wanted.sort,
        deny_data_collection=asked.wanted.deny_data_collection,
        allow_fallbacks=asked.wanted.allow_fallbacks,
        accepted_at_ms=arrival.at_ms,
        route_by_ms=arrival.at_ms + int(terms.timeouts.route_s * 1000),
        deadline_ms=arrival.at_ms + int(terms.timeouts.request_s * 1000),
        prompt_bytes=arrival.prompt_bytes,
        prompt_waits=arrival.prompt_bytes > WITHHELD_FROM_BYTES,
        cap_tokens=cap or None,
        input_tokens_most=min([asked.size.tokens_most, *_windows([model, *others], asked.size.prompts)]),
        output_tokens_most=(asked.max_tokens if asked.max_tokens is not None else cap) * asked.choices,
        quantities_most=list(asked.quantities),
        reply_to=arrival.reply_to,
        upstream_headers=upstream_headers(headers),
        task_id=_task(headers) or _session(asked.named),
        labels=labels(asked.named, headers),
        retries=again,
        retries_run=also_run,
        patient=arrival.patient,
        cache=cache_use(asked.surface, asked.body, headers, caller, terms.caching),
        **{field: _tag(headers, name) for field, name in _TAGS.items()},
    )


def _cap(model: Model, limits: Limits) -> int:
    """Of an answer whose client sets no limit."""
    cap = model.max_output_tokens or limits.output_tokens
    return min(cap, model.max_completion_tokens or cap)


def _windows(models: Sequence[Model], prompts: int) -> list[int]:
    """The context window of the largest, for each of the prompts; none where that of any is not known."""
    windows = [one.context_length for one in models if one.context_length]
    return [max(windows) * prompts] if len(windows) == len(models) else []


def _providers(asked: Asked, offers: Sequence[Offer]) -> Sequence[str]:
    """The only providers that may be asked; none: any of the model's.

    One that speaks the client's surface takes the body as it is; for others it must have the form of a chat completion.
    """
    only = asked.wanted.only
    speaking = [offer.provider_id for offer in offers if offer.provider.speaks(asked.surface)]
    if asked.surface in ENDPOINTS:
        having = [offer.provider_id for offer in offers if can_have(offer.provider, asked.surface)]
        if offers and not having:
            raise BadRequest(f"No provider of {asked.model!r} has {ENDPOINTS[asked.surface].path}.")
        return only if len(having) == len(offers) else [name for name in having if not only or name in only]
    if len(speaking) == len(offers):
        return only
    dialect, body = DIALECTS[asked.surface], dict(asked.body)
    left = [provider_id for provider_id in speaking if not only or provider_id in only]
    try:
        with clients_shape():
            dialect.to_chat(body)
            if left and dialect.left_out(body):
                # Nothing need be left out where one of them takes it.
                return left
    except SurfaceError as error:
        if not left:
            raise BadRequest(str(error)) from None
        return left
    return only


def _task(headers: Mapping[str, str]) -> str | None:
    return next((task for name in _TASKS if (task := _tag(headers, name))), None)


def _session(body: Mapping[str, Any]) -> str | None:
    """``session_id`` of a body. Source: OpenRouter, "Prompt Caching", sticky routing."""
    value = body.get("session_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MOST_HEADER_CHARACTERS or not value.isprintable():
        raise BadRequest(f"`session_id` must be at most {MOST_HEADER_CHARACTERS} printable characters.")
    return value


def _tag(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None or not value.strip():
        return None
    if len(value) > MOST_HEADER_CHARACTERS or not value.isprintable():
        raise BadRequest(f"The header {name} must be at most {MOST_HEADER_CHARACTERS} printable characters.")
    return value.strip()
