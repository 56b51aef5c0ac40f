"""How a relay ends."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RelaySettings(BaseSettings):
    """Environment variables ``SLUICE_RELAY_*``."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_RELAY_")

    drain_s: float = Field(default=600, ge=0)
    """How long attempts may take after SIGTERM, at most: others have its partitions meanwhile. Then streams go on at
    another relay, where their model can, or end with an error event; a second SIGTERM ends all of them."""
