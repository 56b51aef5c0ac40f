"""Batches and files: how far each is, and by which key it was made. What is in them opens with their IDs alone."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from contracts.clock import now_ms
from services.console.core.batch_states import batch_state, batches_of, files_of, newest
from services.console.core.cursors import Slice
from services.console.errors import Away
from services.console.paging import MOST_ROWS, page_of, slice_of
from services.console.routes.batches import makers
from services.console.store import keys
from services.console.web.people import owner_names
from services.console.web.visits import Visit, Visiting

routes = APIRouter()
ROWS, FILES = 25, 25
Text = Annotated[str, Query(max_length=200)]


@routes.get("/{space}/batches")
async def show_batches(visit: Visiting, cursor: Text = "", files: Text = "") -> Response:
    """The page; in everybody's space those that have not ended."""
    if visit.space.owner is None:
        return await _everybodys(visit, cursor)
    made_by = await makers(visit.session, visit.owner)
    owner, now, away = visit.owner.name, now_ms(), ""
    try:
        index = visit.session.parts.batches.index
        all_batches, all_files = batches_of(index, owner, made_by, now), files_of(index, owner, made_by, now)
    except Away as error:
        all_batches, all_files, away = [], [], str(error)
    batches, more = page_of(newest(all_batches, slice_of(ROWS, cursor)), ROWS)
    stored, more_files = page_of(newest(all_files, slice_of(FILES, files)), FILES)
    return visit.page(
        "batches.html",
        batches=batches,
        more=more,
        files=stored,
        more_files=more_files,
        bytes=sum(one.bytes for one in all_files),
        names=await _names(visit),
        owners={},
        away=away,
        counts={},
    )


async def _everybodys(visit: Visit, cursor: str) -> Response:
    visit.session.check_operator()
    counts, rows, away = {}, [], ""
    try:
        index = visit.session.parts.batches.index
        counts, rows = dict(index.by_status()), [batch_state(one) for one in index.all_unfinished()]
    except Away as error:
        away = str(error)
    batches, more = page_of(newest(rows, slice_of(ROWS, cursor)), ROWS)
    return visit.page(
        "batches.html",
        batches=batches,
        more=more,
        files=[],
        more_files="",
        bytes=0,
        names={},
        owners=await owner_names(visit.session.connection, (one.owner for one in batches)),
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
