"""What every surface must have for its streams to go on. Sans-I/O.

Only plain text goes on: word for word the model is given the beginning of its own answer, and no protocol takes the
beginning of a thought, of a tool's arguments or of several choices.
"""

from typing import Protocol

from contracts.usage import TokenUsage
from libs.chat.shapes.completion import JsonObject


class NotPlainError(Exception):
    """The client has something that no other call can go on with."""


class Cut(Protocol):
    """A stream of one surface: what its client has of it, and what it is to have of the call that goes on."""

    text: str
    """That the client has."""

    def take(self, event: JsonObject) -> None:
        """The next event that the client has. Raises NotPlainError."""

    def asked(self, body: JsonObject) -> JsonObject:
        """The request of the call that goes on: the client's, ending with the text. Raises NotPlainError."""

    def go_on(self, event: JsonObject) -> list[JsonObject]:
        """An event of the call that goes on, as the client is to have it, of its own stream.

        Raises NotPlainError where it is of something else than the text.
        """

    def count(self, event: JsonObject, total: TokenUsage) -> None:
        """Has an event's usage say what all calls were counted with, if it has one."""


def turns_with(given: object, turn: JsonObject) -> list[JsonObject]:
    """A conversation that ends with the assistant's beginning. Raises NotPlainError where it ends so already: how a
    provider joins the two nobody knows."""
    turns = given if isinstance(given, list) else []
    last = turns[-1] if turns else None
    if not isinstance(last, dict) or last.get("role") == "assistant":
        raise NotPlainError
    return [*turns, turn]
