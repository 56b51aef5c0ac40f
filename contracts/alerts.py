"""``sinks.alerts.v1``: what somebody should know. Sinks deliver it, by webhook or mail."""

from typing import Annotated, Literal

from pydantic import Field

from .record import EpochMs, StateRecord

AlertKind = Literal["balance-low", "limit-reached", "provider-down", "dead-letters"]


class AlertChanged(StateRecord):
    """An alert is raised, is still so (it is repeated), or is over. Each of them is one notification."""

    kind: AlertKind
    about: Annotated[str, Field(max_length=200)]
    """An owner (``org:<id>``, ``acct:<id>``), a provider's ID, or ``dead-letters``."""
    raised: bool
    """False: it is over."""
    since_ms: EpochMs
    number: Annotated[int, Field(ge=1)]
    """Of the notification, since it was raised."""
    at_ms: EpochMs
    text: Annotated[str, Field(max_length=300)]
    """One sentence with the figures."""
    below_microdollars: int | None = None
    """Of ``balance-low``: the threshold that the balance fell below."""

    @property
    def state_key(self) -> str:
        return f"{self.kind}/{self.about}"

    @property
    def event_id(self) -> str:
        return f"{self.state_key}/{self.since_ms}/{self.number}"
