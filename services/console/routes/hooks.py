"""The webhook that an organization's guardrails ask."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from libs.outbound.hooks import HOOK, Hook
from libs.outbound.signatures import new_secret
from services.console.answers import Answer, Body
from services.console.core.authorization import Action
from services.console.errors import NotFound
from services.console.session import Call
from services.console.store import audit

routes = APIRouter(prefix="/api/organizations/{organization_id}/guardrail-webhook", tags=["policies"])


class WebhookAddress(Body):
    """Where a webhook is: https, at a public address, without a query."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]


class WebhookSecret(Answer):
    """What requests to it are signed with (Standard Webhooks); it is never shown again."""

    url: str
    secret: str


class Webhook(Answer):
    """A webhook, without its secret."""

    url: str
    set_by: str
    updated_at_ms: int


class WebhookRemoved(Answer):
    """The vault has the order to forget it."""

    removed: bool = True


@routes.get("")
async def show_guardrail_webhook(organization_id: str, call: Call) -> Webhook:
    """The organization's webhook."""
    await call.check_organization(organization_id, Action.SET_POLICY)
    found = call.parts.provider_keys.hook(organization_id)
    if found is None:
        raise NotFound("this organization has no webhook for its guardrails")
    return Webhook(url=found.tail, set_by=found.added_by, updated_at_ms=found.updated_at_ms)


@routes.put("", status_code=202)
async def set_guardrail_webhook(organization_id: str, body: WebhookAddress, call: Call) -> WebhookSecret:
    """Set the webhook's address, and draw a new secret. Its policy says when it is asked."""
    await call.check_organization(organization_id, Action.SET_POLICY)
    hook = Hook(body.url, new_secret())
    name = await call.parts.provider_keys.set_hook(organization_id, hook, call.parts.config.mcp, call.actor.name)
    await audit.note(
        call.connection, call.actor, "guardrail_webhook.set", name, organization_id=organization_id, url=hook.url
    )
    return WebhookSecret(url=hook.url, secret=hook.secret)


@routes.delete("", status_code=202)
async def remove_guardrail_webhook(organization_id: str, call: Call) -> WebhookRemoved:
    """Forget the webhook. While the policy wants one, requests are as if it did not answer."""
    await call.check_organization(organization_id, Action.SET_POLICY)
    await call.parts.provider_keys.remove(f"org:{organization_id}", HOOK, call.actor.name)
    target = f"org:{organization_id}/{HOOK}"
    await audit.note(call.connection, call.actor, "guardrail_webhook.remove", target, organization_id=organization_id)
    return WebhookRemoved()
