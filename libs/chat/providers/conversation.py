"""A chat completion's messages for protocols that want instructions apart, and turns that alternate. Pure."""

from collections.abc import Callable, Iterable

from libs.chat.completion import JsonObject, Message

Parts = list[JsonObject]
Translate = Callable[[Message], Parts]
"""A message's parts in the protocol's form."""


def conversation(
    given: Iterable[Message],
    *,
    instructed: Translate,
    asked: Translate,
    answered: Translate,
    resulted: Translate,
    model_role: str = "assistant",
    key: str = "content",
) -> tuple[Parts, Parts]:
    """The instructions' parts, and the turns, with neighbours of one role made one.

    Instructions without a conversation become the user's turn: these protocols answer to somebody.

    Args:
        instructed: of ``system`` and ``developer`` messages.
        asked: of ``user`` messages.
        answered: of ``assistant`` messages.
        resulted: of ``tool`` messages, which are the user's.
        model_role: how the protocol calls the assistant.
        key: where a turn has its parts.
    """
    system: Parts = []
    turns: Parts = []
    for message in given:
        match message.get("role"):
            case "system" | "developer":
                system += instructed(message)
                continue
            case "assistant":
                role, parts = model_role, answered(message)
            case "tool":
                role, parts = "user", resulted(message)
            case _:
                role, parts = "user", asked(message)
        if turns and turns[-1]["role"] == role:
            turns[-1][key] += parts
        elif parts:
            turns.append({"role": role, key: parts})
    return (system, turns) if turns or not system else ([], [{"role": "user", key: system}])
