"""How often a request is repeated inside the gateway: ``x-sluice-retries``. Pure."""

from collections.abc import Mapping

from contracts.requests import MOST_RETRIES
from services.ingress.core.errors import BadRequest

HEADER = "x-sluice-retries"


def retries(headers: Mapping[str, str], configured: int) -> tuple[int, bool]:
    """How often, and whether also where the provider may have run it.

    Raises:
        BadRequest: the header is not of that form.
    """
    given = headers.get(HEADER)
    if given is None:
        return configured, False
    number, _, word = (part.strip().lower() for part in given.partition(","))
    if not (number.isascii() and number.isdecimal() and int(number[:3]) <= MOST_RETRIES) or word not in ("", "run"):
        raise BadRequest(
            f"{HEADER} is a number from 0 to {MOST_RETRIES}, with `, run` where the provider may run it twice."
        )
    return int(number), word == "run"
