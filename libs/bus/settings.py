"""How to reach the log."""

from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.topic import Spread, Topic
from libs.bus import tls

MAX_REQUEST_BYTES = 33 * 1024 * 1024


class BusSettings(BaseSettings):
    """Environment variables ``SLUICE_KAFKA_*``."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_KAFKA_")

    bootstrap: str = "127.0.0.1:9092"
    """``HOST:PORT``, or several with commas between them: each of them knows the others."""
    partitions: int = Field(default=4, ge=1)
    """Of every keyed topic. Fixed for the life of a deployment: a subject's history stays in its partition."""
    reply_partitions: int = Field(default=8, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    session_timeout_ms: int = Field(default=6_000, ge=1_000)
    """After so long without a heartbeat a member's partitions go to others; 6 s is the least that Kafka takes unless
    its ``group.min.session.timeout.ms`` says otherwise."""
    instance: str | None = None
    """This process's name for static membership in its groups, the same when it is started again (KIP-345)."""
    security_protocol: Literal["PLAINTEXT", "SASL_SSL", "SSL", "SASL_PLAINTEXT"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = Field(default=None, repr=False)
    ssl_ca: str | None = None
    """Whose brokers are believed: PEM, or the path of such a file. None: those of the system's CAs."""
    ssl_certificate: str | None = None
    """Of this client, likewise, where the brokers ask for one."""
    ssl_key: str | None = Field(default=None, repr=False)

    @property
    def brokers(self) -> list[str]:
        """As a list: of a text with commas FastStream makes one host."""
        return [one.strip() for one in self.bootstrap.split(",")]

    def connection(self) -> dict[str, Any]:
        """Arguments that every aiokafka client takes."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.brokers,
            "security_protocol": self.security_protocol,
            "retry_backoff_ms": 100,
        }
        if self.security_protocol in {"SASL_SSL", "SSL"}:
            arguments["ssl_context"] = tls.context(self.ssl_ca, self.ssl_certificate, self.ssl_key)
        if self.sasl_mechanism:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return arguments

    def fetching(self, wait_ms: int, most_bytes: int = MAX_REQUEST_BYTES) -> dict[str, Any]:
        """Fetch arguments.

        Args:
            wait_ms: how long the broker may hold a fetch that finds nothing.
            most_bytes: of a partition at once; a record that is larger comes all the same, alone (KIP-74).
        """
        return {
            "fetch_max_wait_ms": wait_ms,
            "max_partition_fetch_bytes": most_bytes,
            "fetch_max_bytes": 2 * most_bytes,
        }

    def producing(self) -> dict[str, Any]:
        """Producer arguments."""
        return {
            "acks": "all",
            "enable_idempotence": True,
            # A batch is what the broker bounds: larger than its topic takes, all its records are refused. One record
            # alone may be larger than this.
            "max_batch_size": 1_000_000,
            "max_request_size": MAX_REQUEST_BYTES,
            # See `libs.bus.sender`, which knows whether there is anything to wait for.
            "linger_ms": 0,
        }

    def partitions_of(self, topic: Topic[Any], *, dead_letters: bool = False) -> int:
        """How many partitions this deployment gives a topic, or its dead-letter queue."""
        if dead_letters or topic.spread is Spread.SINGLE:
            return 1
        return self.partitions if topic.spread is Spread.KEYED else self.reply_partitions
