"""A request's fields, whether they came as JSON or as a form with files. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import from_json, to_json

from contracts.record import JSON
from libs.endpoints.multipart import Part, boundary_of, encoded, parts_of

MOST_CHARACTERS = 200
_NUMBER = re.compile(r"[0-9]{1,9}\Z")


class RequestError(Exception):
    """The request lacks what the endpoint needs; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Form:
    """Immutable; `with_fields` and `without` give others."""

    content_type: str
    values: Mapping[str, Any] = field(repr=False)
    """Of JSON: all fields. Of a form with files: none."""
    parts: tuple[Part, ...] = ()

    @classmethod
    def read(cls, content_type: str, content: bytes) -> "Form":
        """The fields of a body.

        Raises:
            ValueError: it is no JSON.
            libs.endpoints.multipart.FormError: it is no form.
        """
        if content_type == JSON:
            return cls(content_type, from_json(content))
        return cls(content_type, {}, tuple(parts_of(content_type, content)))

    @property
    def names(self) -> list[str]:
        """Of the fields, each once."""
        return list(dict.fromkeys([*self.values, *(part.name for part in self.parts)]))

    def get(self, name: str) -> Any:
        """A field, or None. In a form all fields are text, and of several of one name the last counts."""
        found = [part.text for part in self.parts if part.name == name and part.filename is None]
        return found[-1] if found else self.values.get(name)

    def files(self, *names: str) -> list[Part]:
        """The files under some names."""
        return [part for part in self.parts if part.name in names and part.filename is not None]

    def text(self, name: str) -> str:
        """A field that must be text, and not empty. Raises RequestError."""
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise RequestError(f"`{name}` is missing: it must be text.")
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds. Raises RequestError."""
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, str) and self.parts and _NUMBER.match(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise RequestError(f"`{name}` must be a whole number from {least} to {most}.")
        return value

    def flag(self, name: str) -> bool:
        """A field that is true or false; false where it is missing. Raises RequestError."""
        value = self.get(name)
        if isinstance(value, str) and self.parts:
            value = {"true": True, "false": False}.get(value.lower(), value)
        if value is not None and not isinstance(value, bool):
            raise RequestError(f"`{name}` must be true or false.")
        return bool(value)

    def with_fields(self, **fields: Any) -> "Form":
        """The same with some fields of these values."""
        if self.content_type == JSON:
            return replace(self, values={**self.values, **fields})
        kept = [part for part in self.parts if part.name not in fields]
        return replace(self, parts=(*(Part(name, str(value).encode()) for name, value in fields.items()), *kept))

    def without(self, unwanted: Callable[[str], bool]) -> "Form":
        """The same without some fields."""
        values = {name: value for name, value in self.values.items() if not unwanted(name)}
        return replace(self, values=values, parts=tuple(part for part in self.parts if not unwanted(part.name)))

    def encode(self) -> bytes:
        """The body."""
        if self.content_type == JSON:
            return to_json(self.values)
        return encoded(self.parts, boundary_of(self.content_type))
