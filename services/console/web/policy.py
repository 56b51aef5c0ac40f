"""An organization's policy: edited, and previewed before it is set."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from contracts.guardrails import Kind
from libs.policy.rules import check
from services.console.core.authorization import Action
from services.console.core.policy_document import PolicyDocument, shown, stored
from services.console.core.records import policy
from services.console.errors import BadInput
from services.console.routes.policies import replayed
from services.console.store import policies
from services.console.store.usage import Span
from services.console.web.forms import Form
from services.console.web.people import emails_in
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
_MOVED = "Somebody set another version meanwhile. It is shown here; make your change again."


@routes.get("/{space}/policy")
async def show_policy(visit: Visiting) -> Response:
    """The page: the policy that holds."""
    await visit.check(Action.SEE)
    current = await policies.current(visit.session.connection, visit.owner.id)
    return await _policy(visit, current, shown(current.document))


@routes.post("/{space}/policy")
async def edit_policy(visit: Visiting) -> Response:
    """Previews a draft, or sets it."""
    await visit.check(Action.SET_POLICY)
    call, organization_id = visit.session, visit.owner.id
    current = await policies.current(call.connection, organization_id)
    held = shown(current.document)
    try:
        draft = drafted(visit.form, held)
        rules = stored(draft)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return await _policy(visit, current, held, problem=f"This policy is not right: {wrong[:300]}")
    except (ValueError, BadInput) as error:
        return await _policy(visit, current, held, problem=f"This policy is not right: {error}")
    if visit.form.get("version") != str(current.version):
        return await _policy(visit, current, held, problem=_MOVED)
    if visit.form.get("do") == "set":
        await policies.set_document(call.connection, call.actor, organization_id, rules)
        return visit.go("policy", "policy-set")
    since = datetime.now(UTC) - timedelta(days=1)
    replay = await replayed(call, organization_id, draft, Span(since, None))
    return await _policy(visit, current, draft, replay=replay)


def drafted(form: Form, held: PolicyDocument) -> PolicyDocument:
    """The policy that a form describes; what the form has no field for stays as it is held.

    Raises:
        pydantic.ValidationError: it is none.
    """
    rules = held.guardrails
    answers = rules.answers if rules else None
    of_answers = _given(
        answers,
        redact=_kinds(form, "answer", "redact"),
        deny=_kinds(form, "answer", "deny"),
        words_deny=form.lines("answer_words_deny"),
        tools_allow=_list(form, "answer_tools_allow", answers.tools_allow if answers else None),
    )
    guardrails = _given(
        rules,
        max_request_usd=_amount(form, "max_request_usd"),
        redact=_kinds(form, "prompt", "redact"),
        deny=_kinds(form, "prompt", "deny"),
        words_deny=form.lines("words_deny"),
        tools_allow=_list(form, "tools_allow", rules.tools_allow if rules else None),
        answers=of_answers,
    )
    document = held.model_dump(mode="json", exclude_none=True, exclude={"guardrails"}) | {
        "model_allow": _list(form, "model_allow", held.model_allow),
        "provider_allow": _list(form, "provider_allow", held.provider_allow),
        "data_collection": form.get("data_collection") or None,
        "member_daily_limit_usd": _amount(form, "member_daily_limit_usd"),
        "guardrails": guardrails,
    }
    return PolicyDocument.model_validate({name: value for name, value in document.items() if value is not None})


def _given(held: BaseModel | None, **rules: object) -> dict[str, object] | None:
    """What is held with other rules; None where nothing is asked. A list that allows nothing asks something."""
    known = held.model_dump(mode="json", exclude_none=True) if held else {}
    found = {
        name: value for name, value in (known | rules).items() if value or (value == [] and name.endswith("_allow"))
    }
    return found or None


def _kinds(form: Form, where: str, what: str) -> list[str]:
    return [kind.value for kind in Kind if form.get(f"{where}_{kind.value}") == what]


def _list(form: Form, name: str, held: Sequence[str] | None) -> list[str] | None:
    """A field's lines; a list that was empty, and so allows nothing, does not come to allow all by being shown."""
    return form.lines(name) or ([] if held == [] else None)


def _amount(form: Form, name: str) -> str | None:
    return form.get(name).removeprefix("$") or None


async def _policy(
    visit: Visit, current: policies.StoredPolicy, draft: PolicyDocument, *, replay: object = None, problem: str = ""
) -> Response:
    catalog, rules = visit.session.parts.catalog, policy(visit.owner.id, 1, stored(draft))
    models = [(model, check(model, catalog, rules)) for model in sorted(catalog.offers)]
    return visit.page(
        "policy.html",
        400 if problem else 200,
        current=current,
        names=await emails_in(visit.session.connection, visit.owner, [current.set_by]),
        draft=draft,
        rules=rules.guardrails,
        kinds=list(Kind),
        models=models,
        providers=sorted(catalog.providers),
        replay=replay,
        may_set=visit.owns,
        problem=problem,
    )
