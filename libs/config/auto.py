"""``kilo-auto/*``: which model a request for "whatever suits" gets. The mapping is data; the choice is pure."""

import hashlib

from libs.config.gateway import AutoModel


def choose(auto: AutoModel, *, mode: str | None, surface: str, affinity: str, has_balance: bool) -> str:
    """A model's ID.

    Args:
        mode: the client's hint, ``x-kilocode-mode``; one that is not known counts as none.
        surface: the API that the client calls.
        affinity: the same text gets the same of several models: the caller and their task.
        has_balance: the caller has credit to pay with.
    """
    if not has_balance and auto.without_balance:
        return auto.without_balance
    if auto.one_of:
        index = int.from_bytes(hashlib.sha256(affinity.encode()).digest()[:8], "big")
        return auto.one_of[index % len(auto.one_of)]
    return auto.modes.get((mode or "").lower()) or auto.surfaces.get(surface) or auto.default
