"""Sinks and alerts, as the configuration has them. Secrets are names of variables that only the sinks' service has."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from contracts.sinks import SinkName
from libs.config.section import Section
from libs.config.web_address import WebAddress

SECRET_PREFIX = "SLUICE_SINK_"  # noqa: S105 - a variable's name
RecordKind = Literal["usage", "charges", "credit", "alerts"]
AnyKind = RecordKind | Literal["contents"]
EnvReference = Annotated[str, StringConstraints(pattern=rf"^env:{SECRET_PREFIX}[A-Z0-9_]{{1,80}}$")]
"""``env:SLUICE_SINK_...``: the variable that holds a secret."""
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>]{1,64}@[^\s@<>]{1,190}$")]
_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class _Sink(Section):
    records: Annotated[list[RecordKind], Field(min_length=1)] = ["charges"]
    """What it receives. ``contents`` alone has prompts and answers."""
    start: Literal["now", "oldest"] = "now"
    """Where a sink that is new begins; a backfill begins where it says."""


class _ContentSink(_Sink):
    records: Annotated[list[AnyKind], Field(min_length=1)] = ["charges"]  # type: ignore[assignment]
    organizations: list[str] | None = None
    """Whose contents it receives; None: of all whose policy has them kept."""


class _HttpSink(_Sink):
    url: WebAddress
    timeout_s: float = Field(default=10, gt=0, le=30)
    private: bool = False
    """Addresses that are not public (10.0.0.0/8, loopback, link-local and so on) are allowed, and ``http``."""

    @model_validator(mode="after")
    def _encrypted(self) -> "_HttpSink":
        if self.url.startswith("http:") and not self.private:
            raise ValueError("url must be https, unless `private: true` says that the network is yours")
        return self


class WebhookSink(_HttpSink, _ContentSink):
    """One POST a record, signed as Standard Webhooks says."""

    kind: Literal["webhook"]
    secret: EnvReference
    """Of one or two secrets ``whsec_<base64>``, with a blank between them while one takes the other's place."""
    concurrency: int = Field(default=8, ge=1, le=64)


class ClickHouseSink(_HttpSink):
    """Rows of a table, by ClickHouse's HTTP interface."""

    kind: Literal["clickhouse"]
    database: Identifier = "default"
    table: Identifier
    user: str = "default"
    password: EnvReference | None = None


class LangfuseSink(_HttpSink):
    """Generations in Langfuse, by its OpenTelemetry endpoint; of charges only."""

    kind: Literal["langfuse"]
    records: Annotated[list[Literal["charges"]], Field(min_length=1)] = ["charges"]  # type: ignore[assignment]
    public_key: EnvReference
    secret_key: EnvReference


class EmailSink(_Sink):
    """A mail for each record; meant for alerts."""

    kind: Literal["email"]
    records: Annotated[list[RecordKind], Field(min_length=1)] = ["alerts"]
    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: EnvReference | None = None
    sender: Address
    to: Annotated[list[Address], Field(min_length=1, max_length=20)]
    timeout_s: float = Field(default=10, gt=0, le=30)

    @model_validator(mode="after")
    def _password_encrypted(self) -> "EmailSink":
        if self.password and self.security == "none":
            raise ValueError("a password needs `security: starttls` or `tls`")
        return self


class _FileSink(_ContentSink):
    gather_s: float = Field(default=60, ge=1, le=3600)
    """Rows go into one file for so long, or until there are ``most_rows``, or 32 MiB of them."""
    most_rows: int = Field(default=10_000, ge=1, le=50_000)
    keep_days: int | None = Field(default=None, ge=0, le=3650)
    """Files are deleted so many days after the day of their rows; None: never, by Sluice."""


class FilesSink(_FileSink):
    """Parquet files in a folder."""

    kind: Literal["files"]
    path: Path

    @model_validator(mode="after")
    def _absolute(self) -> "FilesSink":
        if not self.path.is_absolute():
            raise ValueError("path must be absolute")
        return self


class S3Sink(_HttpSink, _FileSink):
    """Parquet files in a bucket of Amazon S3, or of what speaks like it."""

    kind: Literal["s3"]
    timeout_s: float = Field(default=30, gt=0, le=120)
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/=-]{0,200}$")] = "sluice"
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    access_key: EnvReference
    secret_key: EnvReference


class CustomSink(_ContentSink):
    """A sink of your own: see docs/sinks.md."""

    kind: Literal["custom"]
    factory: str
    """``package.module:function``, which is called with ``options`` and returns a `services.sinks.sink.Sink`."""
    options: dict[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _named(self) -> "CustomSink":
        if not _FACTORY.match(self.factory):
            raise ValueError("factory must be package.module:function")
        return self


EventSinkConfig = WebhookSink | ClickHouseSink | LangfuseSink | EmailSink | CustomSink
"""Those that are given events, one after the other."""
SinkConfig = Annotated[EventSinkConfig | FilesSink | S3Sink, Field(discriminator="kind")]
Sinks = dict[SinkName, SinkConfig]


class Contents(Section):
    """Prompts and answers of organizations whose policy has ``contents``, for sinks with these ``records``."""

    public_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{1622}==$")] | None = None
    """Of `./sluice sinks key`: relays seal to it what only the service ``sinks`` opens. None: nothing is kept."""


class AlertRules(Section):
    """What is worth an alert. Sinks whose ``records`` name ``alerts`` deliver them."""

    balance_below_usd: Annotated[str, StringConstraints(pattern=r"^\d{1,9}(\.\d{1,6})?$")] | None = None
    """Of every owner; beside the thresholds that owners set themselves."""
    repeat_s: int = Field(default=4 * 3600, ge=60)
    """An alert that is still so comes again after so long."""
    quiet_s: int = Field(default=900, ge=10)
    """A limit that refused nobody for so long is not reached any more."""
    provider_failures: int = Field(default=10, ge=1)
    """Of the calls of a minute, at least so many and ..."""
    provider_ratio: float = Field(default=0.5, gt=0, le=1)
    """... this share of all fail: the provider is down. It is up again below half of that share."""
    dead_letters: int = Field(default=1, ge=1)
    """So many that nobody has resolved."""
