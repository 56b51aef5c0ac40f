"""Lines of a file: cut into parts as they come, read as requests of a batch, and written as its answers. Pure.

Source of the forms: OpenAI's guide "Batch API", and its reference of the objects ("Request input", "Request output").
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from contracts.batches import Problem
from contracts.requests import Surface
from services.ingress.core.bodies import MOST_NODES
from services.ingress.core.errors import BadRequest
from services.ingress.core.nodes import check_nodes

MOST_CUSTOM_ID = 256
MOST_ENVELOPE_NODES = 64
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


class LineCutter:
    """Cuts a file into parts of whole lines."""

    def __init__(self, part_bytes: int, line_bytes: int) -> None:
        """
        Args:
            part_bytes: a part is given when it has as many.
            line_bytes: that a line may have.
        """
        self._part_bytes = part_bytes
        self._line_bytes = line_bytes
        self._buffer = bytearray()
        self._whole = 0
        """Of the buffer: up to the end of the last whole line."""
        self._began = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The parts that are whole with this piece. Raises BadRequest where a line is too long."""
        last = piece.rfind(b"\n") + 1
        if last:
            self._whole = len(self._buffer) + last
        self._buffer += piece
        if not self._began and len(self._buffer) >= len(_BOM):
            self._began = True
            if self._buffer.startswith(_BOM):
                del self._buffer[: len(_BOM)]
                self._whole = max(0, self._whole - len(_BOM))
        if len(self._buffer) >= self._part_bytes and self._whole:
            yield bytes(self._buffer[: self._whole])
            del self._buffer[: self._whole]
            self._whole = 0
        if len(self._buffer) - self._whole > self._line_bytes:
            raise BadRequest(f"A line of the file has more than {self._line_bytes} bytes.")

    def end(self) -> Iterator[bytes]:
        """What is left."""
        if self._buffer.strip(_SPACE):
            yield bytes(self._buffer)


def lines_of(content: bytes) -> list[bytes]:
    """The lines of a part that are not empty."""
    return [line for line in content.split(b"\n") if line.strip(_SPACE)]


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch."""

    custom_id: str
    body: bytes = field(repr=False)


class LineError(Exception):
    """A line is no request of this batch."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param

    def problem(self, line: int | None) -> Problem:
        """As the batch says it."""
        return Problem(code=self.code, message=str(self), line=line, param=self.param)


def line_of(raw: bytes, surface: Surface, url: str) -> Line:
    """Reads a line.

    Args:
        url: that all lines of the batch name.

    Raises:
        LineError: it is none.
    """
    try:
        for _ in check_nodes(raw, MOST_NODES[surface] + MOST_ENVELOPE_NODES):
            pass
        given: Any = from_json(raw, allow_inf_nan=False)
    except (ValueError, BadRequest):
        raise LineError("invalid_json_line", "This line is no JSON object.") from None
    if not isinstance(given, dict):
        raise LineError("invalid_json_line", "This line is no JSON object.")
    custom_id, body = given.get("custom_id"), given.get("body")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MOST_CUSTOM_ID:
        raise LineError("invalid_custom_id", f"`custom_id` has 1 to {MOST_CUSTOM_ID} characters.", "custom_id")
    if given.get("method") != "POST":
        raise LineError("invalid_method", "`method` is POST.", "method")
    if given.get("url") != url:
        raise LineError("mismatched_url", f"`url` is that of the batch: {url}.", "url")
    if not isinstance(body, dict):
        raise LineError("invalid_body", "`body` is a JSON object.", "body")
    for name in ("stream", "background"):
        if body.get(name) not in (None, False):
            raise LineError("invalid_body", f"`{name}` is not for batches.", f"body.{name}")
    return Line(custom_id, to_json(body))


def answered(line_id: str, custom_id: str, status: int, request_id: str | None, body: bytes) -> bytes:
    """A line of the output, or of the errors where the status says so."""
    try:
        content: Any = from_json(body, allow_inf_nan=False)
    except ValueError:
        content = body.decode("utf-8", "replace")
    response = {"status_code": status, "request_id": request_id, "body": content}
    return to_json({"id": line_id, "custom_id": custom_id, "response": response, "error": None}) + b"\n"


class Reason(NamedTuple):
    """Why a line is not run."""

    code: str
    message: str


def not_answered(line_id: str, custom_id: str, reason: Reason) -> bytes:
    """A line of the errors: of a request that was not run."""
    error = reason._asdict()
    return to_json({"id": line_id, "custom_id": custom_id, "response": None, "error": error}) + b"\n"
