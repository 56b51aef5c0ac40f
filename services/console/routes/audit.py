"""The audit trail, of one organization and whole."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.console.core.authorization import Action
from services.console.paging import Page
from services.console.session import Call
from services.console.store import audit
from services.console.store.audit import AuditEntry

routes = APIRouter(prefix="/api", tags=["audit trail"])
By = Annotated[str | None, Query(max_length=64, description="An account's ID, or `operator`.")]
Done = Annotated[str | None, Query(max_length=64, description="One action, or the beginning of several: `member.`.")]


@routes.get("/organizations/{organization_id}/audit")
async def organization_audit(
    organization_id: str, call: Call, page: Page, actor: By = None, action: Done = None
) -> list[AuditEntry]:
    """Who changed what in an organization, newest first."""
    await call.check_organization(organization_id, Action.READ_AUDIT)
    rows = await audit.entries(call.connection, organization_id, page.slice, actor=actor, action=action)
    return page.of(rows)


@routes.get("/audit")
async def whole_audit(call: Call, page: Page, actor: By = None, action: Done = None) -> list[AuditEntry]:
    """Who changed what, newest first (operator)."""
    call.check_operator()
    rows = await audit.entries(call.connection, None, page.slice, actor=actor, action=action)
    return page.of(rows)
