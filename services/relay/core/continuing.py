"""Whether, and how, another call goes on with a stream whose relay has died (ADR 41). Pure.

Only where the model's entry says so, for plain text alone, and never for more than was held for the request.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from contracts.prompts import PromptSubmitted
from contracts.requests import RequestFacts, Surface
from contracts.routes import Target
from contracts.usage import TokenUsage
from libs.chat.continuing.cut import Cut, NotPlainError
from libs.chat.continuing.exchange import CUTS
from libs.chat.continuing.responses import CutResponse
from libs.config.providers import Continues
from libs.pricing.cost import cost_microdollars, most_microdollars
from services.relay.core.continuation import Continuation
from services.relay.core.delivered import Delivered
from services.relay.core.estimating import USUAL_BYTES
from services.relay.core.job import Job

MOST_CALLS = 4
"""Of one stream."""
_ANY = frozenset(
    {"model", "stream", "temperature", "top_p", "top_k", "seed", "service_tier", "metadata", "user", "store", "usage"}
    | {"safety_identifier", "prompt_cache_key", "provider", "tags", "cache", "models", "route", "session_id"}
)
_PLAIN = {
    Surface.CHAT_COMPLETIONS: _ANY | {"messages", "stream_options", "max_tokens", "max_completion_tokens"},
    Surface.MESSAGES: _ANY | {"messages", "system", "max_tokens"},
    Surface.RESPONSES: _ANY | {"input", "instructions", "max_output_tokens", "previous_response_id"},
}
"""Fields of requests whose answer is the same, whether it is written at once or in two. A stop sequence, for one, could
lie across the cut."""
_LIMITS = {
    Surface.CHAT_COMPLETIONS: ("max_completion_tokens", "max_tokens"),
    Surface.MESSAGES: ("max_tokens",),
    Surface.RESPONSES: ("max_output_tokens",),
}
_NEUTRAL: Mapping[str, object] = {"n": 1, "parallel_tool_calls": True, "response_format": {"type": "text"}}


def may_go_on(job: Job) -> bool:
    """Some of the request's providers can, and nothing in the request speaks against it."""
    route = job.route
    if not route.stream or route.surface not in CUTS or route.effort or (job.rules and job.rules.ask_something):
        return False
    return _is_plain(job.prompt.body, route) and any(_continues(job, target) for target in route.targets)


def cut_of(job: Job) -> Cut | None:
    """That takes in what the client was given; None where nobody can go on with it."""
    return CUTS[job.route.surface]() if may_go_on(job) else None


def continuation(job: Job, delivered: Delivered, call: int) -> Job | None:
    """The job of the call of this number, which goes on; None where the stream cannot. It is asked before the stream is
    that call's, and once more when it is: more may have come of the one before.
    """
    target = _target(job, delivered)
    continues = _continues(job, target) if target else None
    if target is None or continues is None or delivered.ended or call >= MOST_CALLS:
        return None
    started, cut = delivered.started, delivered.cut
    # Anthropic refuses a text that ends in white space, and others would write that anew.
    if started is None or cut is None or cut.text != cut.text.rstrip():
        return None
    try:
        body = cut.asked(job.prompt.body) if cut.text else job.prompt.body
    except NotPlainError:
        return None
    before = delivered.counted(job.route, taken=delivered.call == call)
    most = _most_output_tokens(job, target, before, len(cut.text.encode()))
    if most < 1:
        return None
    return _job(
        job,
        target,
        body,
        most,
        Continuation(
            cut,
            continues,
            size=delivered.size,
            last=delivered.last,
            call=call,
            tried=started.tried,
            upstream_ms=started.upstream_ms,
            before=before,
            response_id=cut.response.get("id") if isinstance(cut, CutResponse) else None,
        ),
    )


def _is_plain(body: Mapping[str, Any], route: RequestFacts) -> bool:
    plain = _PLAIN[route.surface]
    return all(
        name in plain or value in (None, False, "", [], {}) or value == _NEUTRAL.get(name)
        for name, value in body.items()
    )


def _continues(job: Job, target: Target) -> Continues | None:
    offer = job.offer_of(target)
    # OpenAI's Responses take no beginning of an answer.
    if offer is None or (job.route.surface is Surface.RESPONSES and offer.provider.speaks(Surface.RESPONSES)):
        return None
    return offer.model.continues


def _target(job: Job, delivered: Delivered) -> Target | None:
    """Who answered."""
    if delivered.started is None:
        return None
    answered = delivered.started.provider_id, delivered.started.model
    return next((one for one in job.route.targets if (one.provider_id, one.model) == answered), None)


def _most_output_tokens(job: Job, target: Target, before: TokenUsage, text_bytes: int) -> int:
    """How much more may be written: what the client's limit leaves, and what was held for the request."""
    route, price = job.route, job.price_of(target)
    left = route.output_tokens_most - before.output_tokens
    if route.reserved_microdollars is None or price is None or left < 1:
        return left
    budget = route.reserved_microdollars - cost_microdollars(price, before)
    input_most = route.input_tokens_most + text_bytes
    return bisect_right(range(left + 1), budget, key=lambda output: most_microdollars(price, input_most, output)) - 1


def _job(job: Job, target: Target, body: dict[str, Any], most: int, goes_on: Continuation) -> Job:
    route = job.route
    own_key = target.grant.byok
    named = [name for name in _LIMITS[route.surface] if body.get(name)]
    limits = {name: min(most, max(1, body[name] - goes_on.before.output_tokens)) for name in named}
    written = {**body, **limits}
    text_tokens = -(-len(goes_on.cut.text.encode()) // USUAL_BYTES)
    return replace(
        job,
        route=route.model_copy(
            update={
                "targets": [target],
                "retries": 0,
                "cap_tokens": None if named or own_key else most,
                "output_tokens_most": most,
                "input_tokens_most": route.input_tokens_most + len(goes_on.cut.text.encode()),
                "prompt_bytes": route.prompt_bytes + text_tokens * USUAL_BYTES,
                "cache": None,
            }
        ),
        prompt=PromptSubmitted(
            request_id=route.request_id,
            content=to_json(written),
            content_type=job.prompt.content_type,
            answer_key=job.prompt.answer_key,
            response_id=job.prompt.response_id,
        ),
        goes_on=goes_on,
    )
