"""A chat completion's messages for protocols that want instructions apart, and turns that alternate. Pure."""

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from libs.chat.shapes.completion import Message

T = TypeVar("T")
Turn = tuple[Literal["user", "assistant"], list[T]]
"""Who speaks, and the parts in the protocol's form."""


def conversation(
    given: Iterable[Message],
    *,
    instructed: Callable[[Message], list[T]],
    asked: Callable[[Message], list[T]],
    answered: Callable[[Message], list[T]],
    resulted: Callable[[Message], list[T]],
) -> tuple[list[T], list[Turn[T]]]:
    """The instructions' parts, and the turns, with neighbours of one role made one.

    Instructions without a conversation become the user's turn: these protocols answer to somebody.

    Args:
        instructed: of ``system`` and ``developer`` messages.
        asked: of ``user`` messages.
        answered: of ``assistant`` messages.
        resulted: of ``tool`` messages, which are the user's.
    """
    system: list[T] = []
    turns: list[Turn[T]] = []
    for message in given:
        role: Literal["user", "assistant"] = "user"
        match message.get("role"):
            case "system" | "developer":
                system += instructed(message)
                continue
            case "assistant":
                role, parts = "assistant", answered(message)
            case "tool":
                parts = resulted(message)
            case _:
                parts = asked(message)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    return (system, turns) if turns or not system else ([], [("user", system)])
