"""Who edits says which version was seen: ``ETag`` and ``If-Match`` (RFC 9110, 8.8.3 and 13.1.1)."""

from typing import Annotated

from fastapi import Depends, Header, Response

from services.console.errors import BadInput, PreconditionFailed


class _Match:
    def __init__(
        self,
        if_match: Annotated[
            str | None,
            Header(max_length=200, description="The `ETag` of what was seen; another version is 412. Or `*`."),
        ] = None,
    ) -> None:
        self._wanted = if_match

    def check(self, version: int | str) -> None:
        """Raises PreconditionFailed where another version holds now than the caller has seen."""
        if self._wanted is None or self._wanted.strip() == "*":
            return
        tags = [tag.strip() for tag in self._wanted.split(",")]
        if not all(len(tag) > 2 and tag[0] == tag[-1] == '"' for tag in tags):
            raise BadInput("`If-Match` is an `ETag` of ours, in double quotes")
        if f'"{version}"' not in tags:
            raise PreconditionFailed(f"version {version} holds now; look at it, and make your change again")


Match = Annotated[_Match, Depends(_Match)]


def tag(response: Response, version: int | str) -> None:
    """Says which version an answer shows."""
    response.headers["ETag"] = f'"{version}"'
