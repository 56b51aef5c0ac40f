"""The console's settings."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConsoleSettings(BaseSettings):
    """Environment variables ``SLUICE_CONSOLE_*``."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_CONSOLE_")

    host: str = "127.0.0.1"
    port: int = Field(default=8081, ge=1, le=65535)
    gateway_url: str = "http://127.0.0.1:8080/api/gateway"
    """Where clients send requests, as the web console shows it."""
    playground_url: str | None = None
    """Where this console itself reaches it, for the playground; None: at the same address."""
    public_url: str | None = None
    """Where browsers reach the console, for the way back from single sign-on; None: where they say that they do."""
    oidc_issuer: str | None = None
    """The OpenID Connect provider for single sign-on; None: there is none."""
    oidc_client_id: str = ""
    oidc_client_secret: str = Field(default="", repr=False)
    oidc_name: str = "single sign-on"
    """On the button."""
    oidc_domains: str = ""
    """Who signs in with a verified e-mail address of one of these, separated by commas, is made an account."""
    stripe_webhook_secret: str = Field(default="", repr=False)
    """Of Stripe's webhook at ``/api/payments/stripe``; two, separated by a comma, while one is replaced. Without it
    nobody reports payments."""
    mail_host: str | None = None
    """The SMTP server by which owners are notified of alerts; None: they are not."""
    mail_port: int = Field(default=587, ge=1, le=65535)
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    mail_user: str = ""
    mail_password: str = Field(default="", repr=False)
    mail_sender: str = ""
    """The address that mails come from."""
    operator_token: str = Field(min_length=32, repr=False)
    """Who has it may do everything."""
    operator_kafka_username: str | None = None
    """Of ``sluice-operator`` at brokers that ask who one is: with it the console shows, retries and drops dead letters.
    None: there it does not; where brokers ask nobody, it does."""
    operator_kafka_password: str | None = Field(default=None, repr=False)
    key_encryption_keys: str = Field(repr=False)
    """``version:base64[,version:base64...]``, 32 bytes each; the first wraps new signing keys."""
