"""Batches and files of clients, and quotas of the gateway's own keys: what the log says of them (ADR 53)."""

from fastapi import APIRouter

from contracts.clock import now_ms
from services.console.core.authorization import Action
from services.console.core.batch_states import BatchState, FileState, batch_state, batches_of, files_of, newest
from services.console.core.cursors import Slice
from services.console.core.owners import Owner, OwnerKind
from services.console.core.quota_use import QuotaUse
from services.console.paging import MOST_ROWS, Page
from services.console.session import Call, Owned, Session
from services.console.store import keys, usage

routes = APIRouter(prefix="/api")


@routes.get("/{kind}/{owner_id}/batches", tags=["batches"])
async def list_batches(owner: Owned, call: Call, page: Page) -> list[BatchState]:
    """An owner's batches, the newest first; in an organization, members see those that keys of their own made."""
    made_by = await makers(call, owner)
    return page.of(newest(batches_of(call.parts.batches.index, owner.name, made_by, now_ms()), page.slice))


@routes.get("/{kind}/{owner_id}/files", tags=["batches"])
async def list_files(owner: Owned, call: Call, page: Page) -> list[FileState]:
    """An owner's files, likewise; a batch's answers are files, too."""
    made_by = await makers(call, owner)
    return page.of(newest(files_of(call.parts.batches.index, owner.name, made_by, now_ms()), page.slice))


@routes.get("/batches", tags=["operator"])
async def list_unfinished_batches(call: Call, page: Page) -> list[BatchState]:
    """The batches of everybody that have not ended, the newest first (operator)."""
    call.check_operator()
    return page.of(newest(map(batch_state, call.parts.batches.index.all_unfinished()), page.slice))


@routes.get("/provider-key-quotas", tags=["operator"])
async def list_provider_key_quotas(call: Call) -> list[QuotaUse]:
    """The quotas of the gateway's own keys at providers, the fullest first (operator)."""
    call.check_operator()
    return call.parts.key_uses.rows(call.parts.catalog)


async def makers(call: Session, owner: Owner) -> frozenset[str] | None:
    """Fingerprints of the keys whose batches and files the caller may see; None: of all. Raises as `Session.check`."""
    role = await call.check(owner, Action.SEE)
    if owner.kind is OwnerKind.ACCOUNTS or call.actor.operator or role in usage.SEE_ALL:
        return None
    own = await keys.rows(call.connection, call.actor.account_id or "", Slice(MOST_ROWS))
    return frozenset(key.fingerprint for key in own)
