"""Lists come in pages: the ``Link`` header of an answer leads to the next one (RFC 8288)."""

from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Query, Request, Response

from services.console.core.cursors import Position, Slice, position
from services.console.errors import BadInput

MOST_ROWS = 1_000


class Placed(Protocol):
    """A row of a list that is sorted by time, then by ID."""

    @property
    def position(self) -> Position:
        """Where it stands."""


P = TypeVar("P", bound=Placed)


def slice_of(limit: int, cursor: str | None) -> Slice:
    """What a page needs of its list. Raises BadInput where the cursor is none."""
    try:
        return Slice(limit, position(cursor) if cursor else None)
    except ValueError:
        raise BadInput("`cursor` is not one; take it from the page before") from None


def page_of(rows: Sequence[P], limit: int) -> tuple[list[P], str]:
    """A page of the rows that the store read, and the cursor of the next one; empty where there is none."""
    shown = list(rows[:limit])
    return shown, shown[-1].position.cursor() if len(rows) > limit else ""


class _Page:
    def __init__(
        self,
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=200, description="From the answer's `Link` header.")] = None,
    ) -> None:
        self._request = request
        self._response = response
        self.slice = slice_of(limit, cursor)

    def of(self, rows: Sequence[P]) -> list[P]:
        """A page of the rows that the store read, and the link to the next one where there is more."""
        shown, following = page_of(rows, self.slice.limit)
        if following:
            url = self._request.url.include_query_params(cursor=following)
            self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return shown


Page = Annotated[_Page, Depends(_Page)]
