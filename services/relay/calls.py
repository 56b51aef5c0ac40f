"""From a route and its prompt to the call of one provider."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from contracts.clock import now_ms
from contracts.guardrails import AnswerRules
from contracts.prompts import PromptSubmitted
from contracts.record import Refusal
from contracts.requests import CallableRequest, Surface
from contracts.routes import Target
from libs.chat.providers.answers import Exchange
from libs.chat.providers.exchange import exchange
from libs.chat.providers.identifiers import identifiers, with_hashed_users
from libs.chat.providers.protocol import Call
from libs.chat.providers.tiers import FLEX, with_tier
from libs.chat.shapes.completion import JsonObject
from libs.chat.surfaces import costs
from libs.chat.surfaces.writer import SurfaceError
from libs.config.catalog import Offer
from libs.endpoints.exchange import exchange as endpoint_exchange
from libs.endpoints.form import Form
from libs.endpoints.registry import ENDPOINTS
from libs.pricing.surcharges import surcharge, without_hosted_tools
from services.relay.core.answer_schemas import of_schema, schema_for
from services.relay.core.auto import as_client_asked, in_manner
from services.relay.core.guarding import guarded
from services.relay.core.job import Job
from services.relay.core.keeping import Keeper, is_kept
from services.relay.upstream import UpstreamError

FOR_US = frozenset({"provider", "tags", "cache", "models", "route", "session_id"})
"""Fields of requests: the choice of provider and model, names of tasks and for reports, what the cache may do."""
_WITH_TIERS = (Surface.CHAT_COMPLETIONS, Surface.RESPONSES, Surface.MESSAGES)


def prepare(job: Job, target: Target, offer: Offer) -> tuple[Exchange, Keeper | None]:
    """What is to be sent, in the provider's words; and who keeps the answer, where its client wants it stored.

    Raises:
        UpstreamError: the provider cannot be sent this, or not with the gateway's own key.
    """
    try:
        if job.route.surface in ENDPOINTS:
            return _endpoint(job.route, job.prompt, target, offer), None
        return _chat(job, target, offer)
    except SurfaceError as error:
        raise UpstreamError(Refusal(status=400, message=str(error))) from None


def _chat(job: Job, target: Target, offer: Offer) -> tuple[Exchange, Keeper | None]:
    request, prompt, provider = job.route, job.prompt, offer.provider
    asked = prompt.body
    body = _for_provider(asked)
    keeper = None
    if is_kept(request, body):
        # For the provider it is a request like any other: what it would store belongs to a key of ours.
        body = {name: value for name, value in body.items() if name != "store"}
        known = prompt.response_id or (job.goes_on.response_id if job.goes_on else None)
        keeper = Keeper(body, known, background=prompt.response_id is not None)
    own_key = target.grant.byok
    flex = provider.may_have_flex and offer.model.flex_percent is not None and request.surface in _WITH_TIERS
    left_out: list[str] = []
    if not own_key and provider.speaks(request.surface):
        body, left_out = without_hosted_tools(body, provider.extras)
    # Translation leaves out what the provider does not have; the tier it knows.
    sent = body if provider.speaks(request.surface) else {"service_tier": body.get("service_tier")}
    if not own_key and (dearer := surcharge(sent, provider.extras)):
        raise UpstreamError(_with_own_key_only(dearer, target.provider_id))
    body = in_manner(body, request)
    call = Call(
        request.surface,
        with_hashed_users(body, request.surface, target.provider_id, request.caller),
        target.model or request.model,
        target.upstream_model,
        request.stream,
        # Who pays with a key of their own is not held to what we reserve.
        cap_tokens=None if own_key else request.cap_tokens,
        most_tokens=request.output_tokens_most,
        created_s=now_ms() // 1000,
        cache=request.task_id is not None,
        headers=request.upstream_headers,
        flex=flex and request.patient,
        answer_id=f"{costs.PREFIX}{request.request_id}" if costs.are_wanted(asked) else None,
        identifiers=identifiers(
            target.provider_id,
            request.caller,
            task_id=request.task_id,
            cache_key_field=provider.cache_key_field,
            user_field=provider.user_field,
        ),
    )
    found = as_client_asked(exchange(call, provider, _guard(job)), asked)
    if left_out:
        dropped = (*found.outgoing.dropped, *left_out)
        found = replace(found, outgoing=replace(found.outgoing, dropped=dropped))
    found = keeper.keeping(found) if keeper else found
    return with_tier(found) if flex and (request.patient or body.get("service_tier") == FLEX) else found, keeper


def _guard(job: Job) -> Callable[[Exchange], Exchange] | None:
    """What becomes of the answer before anything carries or keeps it."""
    if job.goes_on:
        return job.goes_on.joined
    if job.rules is None or not job.rules.ask_something or job.route.surface is Surface.EMBEDDINGS:
        return None
    return partial(_guarded, rules=job.rules, schema=schema_for(job.rules, job.route.surface, job.prompt.body))


def _guarded(found: Exchange, *, rules: AnswerRules, schema: object) -> Exchange:
    """The exchange under an organization's rules. Of the schema must be what the others leave."""
    if rules.are_of_texts_or_tools:
        found = guarded(found, rules)
    return found if schema is None else of_schema(found, schema)


def _for_provider(asked: JsonObject) -> JsonObject:
    """The client's body without what is for us. A list of tags is LiteLLM's; no provider's ``metadata`` has lists."""
    body = asked if FOR_US.isdisjoint(asked) else {name: value for name, value in asked.items() if name not in FOR_US}
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("tags"), list):
        body = {**body, "metadata": {name: value for name, value in metadata.items() if name != "tags"}}
    return body


def _endpoint(request: CallableRequest, prompt: PromptSubmitted, target: Target, offer: Offer) -> Exchange:
    form = Form.read(prompt.content_type, prompt.content).without(FOR_US.__contains__)
    users = {name: form.get(name) for name in form.names}
    named = with_hashed_users(users, request.surface, target.provider_id, request.caller)
    return endpoint_exchange(
        request.surface,
        form.with_fields(**{name: value for name, value in named.items() if value != users[name]}),
        offer.provider,
        model=target.model or request.model,
        upstream_model=target.upstream_model,
        streamed=request.stream,
        price=offer.price_at(request.accepted_at_ms),
    )


def _with_own_key_only(field: str, provider_id: str) -> Refusal:
    return Refusal(
        status=400,
        message=f"{field} costs more at {provider_id} than the tokens that are charged here, or belongs to an account "
        f"there: leave it out, or add a key of your own for {provider_id}.",
    )
