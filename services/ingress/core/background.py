"""Responses that are made in the background: what a request becomes, and what is known of an answer so far. Pure.

Source: the OpenAI API reference, "Background mode", and "Get a model response".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic_core import from_json

from contracts.record import Refusal
from contracts.replies import Outcome, ReplyChunk, ReplyEnded, ReplyStarted
from contracts.requests import Surface
from contracts.responses import ResponseBegun
from services.ingress.core.bodies import fields_of
from services.ingress.core.errors import BadRequest
from services.ingress.core.sequence import Sequence

MOST_DIGITS = 10
_END = b"\n\n"
_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""Of OpenAI's `ResponseError`; all else is ``server_error``."""


class How(Enum):
    """In which way a response in the background is given to who asks for it."""

    STREAMED = "it reads along from the beginning"
    AT_ONCE = "it is answered at once, and asks again"


@dataclass(frozen=True, slots=True)
class Background:
    """How a client wants a response that is made in the background."""

    response_id: str = field(repr=False)
    how: How


def background_of(surface: Surface, body: bytes) -> How | None:
    """How a request wants its response in the background; None: it does not. Raises as `wanted` does."""
    if surface is not Surface.RESPONSES or b'"background"' not in body:
        return None
    asked = fields_of(body)
    if not wanted(asked):
        return None
    return How.STREAMED if asked.get("stream") is True else How.AT_ONCE


def wanted(body: Mapping[str, Any]) -> bool:
    """Is the response to be made in the background?

    Raises:
        BadRequest: it says so, and what makes that impossible.
    """
    given = body.get("background")
    if given is not None and not isinstance(given, bool):
        raise BadRequest("`background` must be true or false.")
    if given and body.get("store") is False:
        raise BadRequest("`background` needs a stored response: leave `store` out, or let it be true.")
    return bool(given)


def in_the_foreground(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it goes on: a stream that is stored at its end."""
    return {**{name: value for name, value in body.items() if name != "background"}, "store": True, "stream": True}


def shown(begun: ResponseBegun, response_id: str, status: str, **more: Any) -> dict[str, Any]:
    """A response of which there is no answer."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": begun.begun_at_ms // 1000,
        "status": status,
        "background": True,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": begun.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
        **more,
    }


class Progress:
    """One answer as far as the log has it."""

    def __init__(self, begun: ResponseBegun, response_id: str) -> None:
        self._begun = begun
        self._id = response_id
        self._sequence = Sequence()
        self._response: dict[str, Any] | None = None
        self._items: list[Any] = []
        self.ended: ReplyEnded | None = None

    def begin(self, started: ReplyStarted) -> None:
        """Begins, or goes on with another call."""
        self._sequence.is_old(started)

    def chunk(self, chunk: ReplyChunk) -> None:
        """The next piece. Raises MissingBytesError where it is not that."""
        piece = None if self._sequence.is_old(chunk) else self._sequence.take(chunk)
        if piece is not None:
            self._read(piece.content)

    def end(self, ended: ReplyEnded) -> None:
        """There is no more."""
        if self._sequence.is_old(ended):
            return
        self.ended = ended
        self._read((ended.tail or "").encode())

    def _read(self, content: bytes) -> None:
        for event in content.split(_END):
            data = data_of(event)
            if isinstance(data.get("response"), dict):
                self._response = data["response"]
            elif data.get("type") == "response.output_item.done":
                self._items.append(data.get("item"))

    def show(self) -> dict[str, Any]:
        """The response, as ``GET /responses/{id}`` gives it."""
        ended = self.ended
        known = self._response or {}
        if ended is None:
            known = {**known, "status": "in_progress" if known else "queued"}
        elif ended.outcome is Outcome.CANCELLED:
            known = {**known, "status": "cancelled"}
        elif ended.outcome is not Outcome.COMPLETED:
            known = {**known, "status": "failed", "error": _error(ended.refusal)}
        else:
            return {**known, "id": self._id, "background": True}
        return {**shown(self._begun, self._id, ""), **known, "id": self._id, "background": True, "output": self._items}


def _error(refusal: Refusal | None) -> dict[str, str]:
    status, message = (refusal.status, refusal.message) if refusal else (500, "The gateway failed.")
    return {"code": _CODES.get(status, "server_error"), "message": message}


def data_of(event: bytes) -> dict[str, Any]:
    """The JSON object of an event; an empty one where there is none."""
    for line in event.split(b"\n"):
        if line.startswith(b"data: "):
            try:
                data = from_json(line[len(b"data: ") :])
            except ValueError:
                return {}
            return data if isinstance(data, dict) else {}
    return {}


class After:
    """Leaves out of a stream what comes up to an event's ``sequence_number``."""

    def __init__(self, number: int | None) -> None:
        self._number = -1 if number is None else number
        self._passing = number is None

    def last(self, ended: ReplyEnded) -> bytes:
        """What of the last ones is wanted."""
        return self.take((ended.tail or "").encode())

    def take(self, content: bytes) -> bytes:
        """What of whole events is wanted."""
        if self._passing:
            return content
        at = 0
        for event in content.split(_END):
            number = data_of(event).get("sequence_number")
            if isinstance(number, int) and number > self._number:
                self._passing = True
                return content[at:]
            at += len(event) + len(_END)
        return b""


def after_of(query: Mapping[str, str]) -> int | None:
    """``starting_after``. Raises BadRequest where it is no number of an event."""
    given = query.get("starting_after")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS):
        raise BadRequest("`starting_after` is the `sequence_number` of an event: a whole number.")
    return int(given)
