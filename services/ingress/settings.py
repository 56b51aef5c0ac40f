"""Where the ingress listens."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngressSettings(BaseSettings):
    """Environment variables ``SLUICE_INGRESS_*``."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_INGRESS_")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    drain_s: int = Field(default=600, ge=0)
    """How long running answers may take after SIGTERM, at most; a second SIGTERM cuts them."""
    announce_s: float = Field(default=0, ge=0)
    """How long connections are still accepted after SIGTERM: until whoever sends them has seen ``/readyz``. Then
    ``drain_s`` begins."""
