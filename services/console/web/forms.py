"""What a page's form sent."""

from urllib.parse import parse_qs

from fastapi import Request

from services.console.errors import BadInput

MOST_FIELDS = 100


class Form:
    """Fields by name. The size of the body is bounded for the whole application."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    @classmethod
    async def read(cls, request: Request) -> "Form":
        """Raises BadInput where it is no form."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            raise BadInput("send a form")
        try:
            text = (await request.body()).decode()
            return cls(parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
        except ValueError:
            raise BadInput("the form could not be read") from None

    def get(self, name: str) -> str:
        """A field without the space around it; empty where it was not sent."""
        return self._fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return self._fields.get(name, [])

    def lines(self, name: str) -> list[str]:
        """A field's lines that are not empty."""
        return [line.strip() for line in self.get(name).splitlines() if line.strip()]
