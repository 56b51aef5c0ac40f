"""``kilo-auto/*``: which model a request for "whatever suits" gets. The mapping is data; the choice is pure."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from libs.config.section import Section


class Choice(Section):
    """A model, and how it is asked where the client leaves that open."""

    model: str
    effort: Literal["minimal", "low", "medium", "high"] | None = None
    """How much it thinks."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much it says."""
    weight: Annotated[float, Field(gt=0)] = 1
    """Of the choice among several: how many tasks get it, beside the others."""


def _by_name(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Chosen = Annotated[Choice, BeforeValidator(_by_name)]
"""A model's ID alone will do."""


class AutoModel(Section):
    """A name that stands for a model to be chosen request by request."""

    default: Chosen
    name: str | None = None
    description: str = ""
    preferred_index: int | None = None
    """Its place among the models that a client recommends; None: not among them."""
    modes: dict[str, Chosen] = {}
    """By ``x-kilocode-mode``, in lower case."""
    surfaces: dict[str, Chosen] = {}
    """By the API that the client calls, for example ``chat.completions``."""
    one_of: list[Chosen] = []
    """One of these by weight, the same for a task; a request without a task is one of its own."""
    without_balance: Chosen | None = None
    """For callers who have no credit."""

    @property
    def models(self) -> dict[str, None]:
        """All that it can stand for, the default first."""
        others = [*self.modes.values(), *self.surfaces.values(), *self.one_of]
        chosen = [self.default, *others, *([self.without_balance] if self.without_balance else [])]
        return dict.fromkeys(choice.model for choice in chosen)


def choose(auto: AutoModel, *, mode: str | None, surface: str, affinity: str, has_balance: bool) -> Choice:
    """A model, and how it is asked.

    Args:
        mode: the client's hint, ``x-kilocode-mode``; one that is not known counts as none.
        surface: the API that the client calls.
        affinity: the same text gets the same of several models: the caller and their task.
        has_balance: the caller has credit to pay with.
    """
    if not has_balance and auto.without_balance:
        return auto.without_balance
    if auto.one_of:
        return _drawn(auto.one_of, int.from_bytes(hashlib.sha256(affinity.encode()).digest()[:8], "big") / 2**64)
    return auto.modes.get((mode or "").lower()) or auto.surfaces.get(surface) or auto.default


def _drawn(choices: Sequence[Choice], part: float) -> Choice:
    """
    Args:
        part: from 0 to 1, as evenly as a hash.
    """
    left = part * sum(choice.weight for choice in choices)
    for choice in choices:
        left -= choice.weight
        if left < 0:
            return choice
    return choices[-1]
