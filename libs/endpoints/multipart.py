"""Forms with files, ``multipart/form-data``: from bytes to parts and back. Sans-I/O.

Source: RFC 7578, and RFC 2046 section 5.1 for the boundary; names are escaped as browsers do (the HTML standard,
"Multipart form data"). The body is in memory, and as large as its reader let it become.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

TYPE = "multipart/form-data"
MOST_PARTS = 64
MOST_HEADER_BYTES = 4_096
"""Of one part."""
_BOUNDARY = re.compile(r""";\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))""", re.IGNORECASE)
_PARAMETER = re.compile(r""";\s*(name|filename)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s";]+))""", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:;[ \w.+=-]*)?\Z", re.ASCII)
_ESCAPES = {"\r": "%0D", "\n": "%0A", '"': "%22"}


class FormError(Exception):
    """The body is no form; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field, or one file."""

    name: str
    content: bytes = field(repr=False)
    filename: str | None = None
    content_type: str | None = None

    @property
    def text(self) -> str:
        """The value of a field."""
        return self.content.decode("utf-8", "replace")


def boundary_of(content_type: str) -> str:
    """What separates the parts.

    Raises:
        FormError: the type has none.
    """
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise FormError(f"`Content-Type: {TYPE}` needs a `boundary`; HTTP libraries set it by themselves.")
    return found.group(1) or found.group(2)


def parts_of(content_type: str, content: bytes) -> list[Part]:
    """The parts of a form, in order. Files are copied once, and nothing else of their size is made.

    Raises:
        FormError: it is none, ends too early, or has more parts, or longer headers, than any form needs.
    """
    marks = _delimiters(content, b"\r\n--" + boundary_of(content_type).encode("latin-1"))
    if len(marks) - 1 > MOST_PARTS:
        raise FormError(f"The form has more than {MOST_PARTS} parts.")
    if not marks or not content.startswith(b"--", marks[-1][1]):
        raise FormError("The form is not whole: its last boundary is missing.")
    return [_part(content, marks[at][1], marks[at + 1][0]) for at in range(len(marks) - 1)]


def _delimiters(content: bytes, delimiter: bytes) -> list[tuple[int, int]]:
    """Where each of them begins and ends, as far as there may be some. The first need not follow a line."""
    found: list[tuple[int, int]] = []
    if content.startswith(delimiter[2:]):
        found.append((0, len(delimiter) - 2))
    while len(found) < MOST_PARTS + 2:
        at = content.find(delimiter, found[-1][1] if found else 0)
        if at < 0:
            break
        found.append((at, at + len(delimiter)))
    return found


def _part(content: bytes, start: int, end: int) -> Part:
    first = content.find(b"\r\n", start, end)
    blank = content.find(b"\r\n\r\n", first, end) if first >= 0 else -1
    if blank < 0 or blank - first > MOST_HEADER_BYTES or content[start:first].strip(b" \t"):
        raise FormError("A part of the form has no headers, or too long ones.")
    return replace(head_of(content[first:blank]), content=content[blank + len(b"\r\n\r\n") : end])


def head_of(head: bytes) -> Part:
    """A part by its headers, without its content.

    Raises:
        FormError: it has no name.
    """
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    disposition = headers.get("content-disposition", "")
    parameters = {one[0].lower(): _unescaped(one[1] or one[2]) for one in _PARAMETER.findall(disposition)}
    if not disposition.lower().startswith("form-data") or "name" not in parameters:
        raise FormError("A part of the form has no name.")
    media_type = headers.get("content-type", "")
    filename = parameters.get("filename")
    return Part(parameters["name"], b"", filename, media_type if _MEDIA_TYPE.match(media_type) else None)


def encoded(parts: Iterable[Part], boundary: str) -> bytes:
    """The body with these parts. The boundary must be in none of them."""
    out: list[bytes] = []
    for part in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(part.name)}"'
        if part.filename is not None:
            head += f'; filename="{_escaped(part.filename)}"'
        if part.content_type:
            head += f"\r\nContent-Type: {part.content_type}"
        out += (head.encode() + b"\r\n\r\n", part.content, b"\r\n")
    return b"".join((*out, f"--{boundary}--\r\n".encode()))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
