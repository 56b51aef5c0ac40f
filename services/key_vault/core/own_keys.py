"""The gateway's own keys: several of a provider, by weight, and at rest where the provider has had enough of one. Pure.

A task keeps its key, as it keeps its provider: prompts are cached by account. Which key it is follows from a hash with
weights (rendezvous hashing, Thaler and Ravishankar 1998), so a key that is added or rests moves no other task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import log

from contracts.outcomes import OutcomesCounted
from libs.config.providers import Provider
from libs.sealing.secret import Secret

MOST_REST_MS = 3600 * 1000
MOST_GRANTED = 3
"""Of one provider's keys, for one request."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of a provider's keys; its number is its place in the configuration."""

    number: int
    secret: Secret
    weight: float = 1
    variable: str = ""
    """Of the environment, that holds it: its name in reports of what it was used for."""


class Rests:
    """Which keys are left alone, and until when, as relays report it."""

    def __init__(self) -> None:
        self._until_ms: dict[tuple[str, int], int] = {}

    def note(self, counted: OutcomesCounted) -> None:
        """Takes a relay's report in."""
        for number, until_ms in counted.rests.items():
            key = counted.provider_id, number
            until_ms = min(until_ms, counted.counted_at_ms + MOST_REST_MS)
            self._until_ms[key] = max(until_ms, self._until_ms.get(key, 0))

    def until_ms(self, provider_id: str, number: int) -> int:
        """When a key may be used again; in the past: now."""
        return self._until_ms.get((provider_id, number), 0)

    def resting(self, now_ms: int) -> dict[str, int]:
        """How many keys rest, by provider; 0 of those whose keys rested before."""
        found: dict[str, int] = {}
        for (provider_id, _number), until_ms in self._until_ms.items():
            found[provider_id] = found.get(provider_id, 0) + (until_ms > now_ms)
        return found


def chosen(keys: Sequence[OwnKey], provider_id: str, affinity: str, rests: Rests, now_ms: int) -> list[OwnKey]:
    """The keys for one request, in the order in which they are to be tried; where all rest, the one that wakes first.

    Args:
        affinity: the same text gets the same order, while no key rests.
    """
    if len(keys) == 1:
        return list(keys)
    awake = [key for key in keys if rests.until_ms(provider_id, key.number) <= now_ms]
    if not awake:
        return [min(keys, key=lambda key: rests.until_ms(provider_id, key.number))]

    def score(key: OwnKey) -> float:
        digest = blake2b(f"{affinity}/{provider_id}/{key.number}".encode(), digest_size=8).digest()
        return log((int.from_bytes(digest, "big") + 1) / (2**64 + 1)) / key.weight

    return sorted(awake, key=score, reverse=True)[:MOST_GRANTED]


def own_keys(provider: Provider, environment: Mapping[str, str]) -> list[OwnKey]:
    """The gateway's own keys for a provider, as far as the environment has them; an empty one where it wants none."""
    variables = provider.api_key_variables
    if not variables:
        return [OwnKey(0, Secret(""))]
    return [
        OwnKey(number, Secret(environment[variable]), weight, variable)
        for number, (variable, weight) in enumerate(variables)
        if environment.get(variable)
    ]
