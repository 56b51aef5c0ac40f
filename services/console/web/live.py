"""Live: what runs through the services now. The operator's; others follow their own requests on their page."""

import contextlib
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from services.console.errors import Away
from services.console.live import Live, Seen
from services.console.web.pages import SECURITY_HEADERS, fragment
from services.console.web.requests import TAIL_FOR_S
from services.console.web.visits import Visiting

routes = APIRouter()


@routes.get("/{space}/live")
async def show_live(visit: Visiting) -> Response:
    """The page, with what is seen now."""
    visit.session.check_operator()
    seen, away = None, ""
    try:
        seen = await visit.session.parts.live.one()
    except Away as error:
        away = str(error)
    return visit.page("live.html", seen=seen, away=away)


@routes.get("/{space}/live/events")
async def follow_live(visit: Visiting, request: Request) -> Response:
    """The drawing again, each second, as server-sent events."""
    visit.session.check_operator()
    events = _events(visit.session.parts.live, request)
    return StreamingResponse(events, media_type="text/event-stream", headers=SECURITY_HEADERS)


async def _events(live: Live, request: Request) -> AsyncIterator[str]:
    """For a minute; then the browser asks again, and with it who may see it."""
    ends = time.monotonic() + TAIL_FOR_S
    yield "retry: 500\n\n"
    with contextlib.suppress(Away):
        async with contextlib.aclosing(live.watch()) as readings:
            async for seen in readings:
                yield f"data: {_drawn(seen)}\n\n"
                if time.monotonic() > ends or await request.is_disconnected():
                    return


def _drawn(seen: Seen) -> str:
    return " ".join(fragment("flow.html", seen=seen).splitlines())
