"""Lists come in pages: the ``Link`` header of an answer leads to the next one (RFC 8288)."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request, Response

from services.console.core.cursors import Position, Slice, position
from services.console.errors import BadInput

T = TypeVar("T")
MOST_ROWS = 1_000


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
        try:
            self.slice = Slice(limit, position(cursor) if cursor else None)
        except ValueError:
            raise BadInput("`cursor` is not one; take it from the `Link` header of the page before") from None

    def of(self, rows: Sequence[T], place: Callable[[T], Position]) -> list[T]:
        """A page of the rows that the store read, and the link to the next one where there is more."""
        shown = list(rows[: self.slice.limit])
        if len(rows) > self.slice.limit:
            url = self._request.url.include_query_params(cursor=place(shown[-1]).cursor())
            self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return shown


Page = Annotated[_Page, Depends(_Page)]
