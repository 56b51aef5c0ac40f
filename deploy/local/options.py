"""What a user may choose of a stack."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.local.trees import THIS_TREE, Tree
from libs.bus.settings import BusSettings

API_PATH = "/api/gateway"
STUB_CONFIG = Path(__file__).with_name("demo.yaml")
EMBEDDED = ("embedded", "apache")
"""Names of the Kafka that Sluice starts itself."""


class Access(Protocol):
    """Credentials on a cluster that asks who one is."""

    @property
    def admin(self) -> BusSettings:
        """An administrator's."""

    def environment(self, service: str) -> dict[str, str]:
        """A service's own, as ``SLUICE_KAFKA_*``."""


@dataclass(slots=True)
class StackOptions:
    """What a user may choose."""

    config: Path | None = None
    kafka: str = "embedded"
    """``embedded`` (or ``apache``), or ``HOST:PORT``."""
    port: int = 8080
    console_port: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """For every service, over the configuration: ``SLUICE_TIMEOUTS__REQUEST_S`` and the like."""
    instances: dict[str, int] = field(default_factory=dict)
    """How many processes of a service; the default is one. Further ingresses listen on further ports."""
    otlp_endpoint: str | None = None
    tree: Tree = THIS_TREE
    """The version that services are started from; `Stack.change_version` replaces them by those of another."""
    partitions: int | None = None
    """Of each keyed topic; None: four."""
    access: Access | None = None
    """Of a cluster that asks who one is; None: it does not."""
    stub: bool = False
    """Start the stub provider, and let the configuration's provider ``stub`` be it."""
