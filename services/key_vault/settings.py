"""What the vault needs to know."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class VaultSettings(BaseSettings):
    """Environment variables ``SLUICE_VAULT_*``."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_VAULT_")

    key_encryption_keys: str = Field(repr=False)
    """``version:base64[,version:base64...]``, 32 bytes each, or ``aws-kms:KEY[,...]``; the first wraps new keys."""
