"""Batches and files: how far each is, and by which key it was made. What is in them opens with their IDs alone."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.clock import now_ms
from services.console.core.batch_states import BatchState, FileState, batch_state, batches_of, files_of, newest
from services.console.core.cursors import Slice
from services.console.errors import Away
from services.console.paging import MOST_ROWS, page_of, slice_of
from services.console.routes.batches import makers
from services.console.store import keys
from services.console.web.people import owner_names
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
ROWS = 25
Text = Annotated[str, Query(max_length=200)]


@routes.get("/{space}/batches")
async def show_batches(visit: Visiting, cursor: Text = "", files: Text = "") -> Response:
    """The page; in everybody's space those that have not ended."""
    owner = visit.space.owner
    if owner is None:
        visit.session.check_operator()
    made_by = await makers(visit.session, owner) if owner else None
    counts: Mapping[str, int] = {}
    batches: list[BatchState] = []
    stored: list[FileState] = []
    away = ""
    try:
        index = visit.session.parts.batches.index
        if owner is None:
            counts, batches = index.by_status(), [batch_state(one) for one in index.all_unfinished()]
        else:
            batches = batches_of(index, owner.name, made_by, now_ms())
            stored = files_of(index, owner.name, made_by, now_ms())
    except Away as error:
        away = str(error)
    shown, more = page_of(newest(batches, slice_of(ROWS, cursor)), ROWS)
    shown_files, more_files = page_of(newest(stored, slice_of(ROWS, files)), ROWS)
    return visit.page(
        "batches.html",
        batches=shown,
        more=more,
        files=shown_files,
        more_files=more_files,
        bytes=sum(one.bytes for one in stored),
        names=await _names(visit),
        owners={} if owner else await owner_names(visit.session.connection, (one.owner for one in shown)),
        away=away,
        counts=counts,
    )


async def _names(visit: Visit) -> dict[str, str]:
    """Of one's own keys, by fingerprint."""
    account_id = visit.session.actor.account_id
    if account_id is None:
        return {}
    own = await keys.rows(visit.session.connection, account_id, Slice(MOST_ROWS))
    return {key.fingerprint: key.name for key in own}
