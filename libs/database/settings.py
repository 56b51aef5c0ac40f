"""Where a service's schema is."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """``SLUICE_DATABASE_URL``: a ``postgresql://`` URL with the service's own role."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_DATABASE_")

    url: str = Field(repr=False)
    pool_size: int = Field(default=4, ge=1)
