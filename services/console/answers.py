"""What the bodies of calls and of answers have in common."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from libs.pricing.usd import parse_usd

ID = r"^[a-z]+_[0-9a-f]{20}$|^[0-9a-f]{16,24}$"
_EMAIL = r"[^@\s]{1,64}@[^@\s]{1,190}"
EMAIL = rf"^{_EMAIL}$"
ID_OR_EMAIL = rf"^(acct_[0-9a-f]{{20}}|{_EMAIL})$"
USD = r"^-?\d{1,10}(\.\d{1,6})?$"
FORMS = {
    ID: "an ID as lists show it",
    EMAIL: "an e-mail address, for example you@example.com",
    ID_OR_EMAIL: "an account's ID or an e-mail address",
    USD: "an amount of dollars with at most six decimals, for example 10 or 2.50",
}
"""What texts of a pattern are, for people."""

Id = Annotated[str, Field(pattern=ID, max_length=64)]


def _within_bounds(text: str) -> str:
    parse_usd(text)
    return text


Usd = Annotated[str, Field(pattern=USD, max_length=20), AfterValidator(_within_bounds)]
"""US dollars as a decimal string, to the microdollar; at most a billion."""


class Body(BaseModel):
    """A call's body; what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer, or a row of one."""

    model_config = ConfigDict(frozen=True)


def time_of(epoch_ms: int) -> datetime:
    """A time of a record, as answers have it."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
