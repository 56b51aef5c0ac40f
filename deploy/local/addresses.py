"""Where the processes of a stack listen, all on loopback."""

from collections.abc import Mapping

from deploy.local.options import API_PATH, StackOptions
from deploy.local.ports import LOOPBACK, free_port


class Addresses:
    """Ports are drawn when they are first asked for, and stay the same from then on."""

    def __init__(self, options: StackOptions) -> None:
        self._first_ingress = options.port
        self.console_port = options.console_port or free_port()
        self.stub_port = free_port()
        self._health: dict[str, int] = {}
        self._ingress: dict[str, int] = {}

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"http://{LOOPBACK}:{self._first_ingress}{API_PATH}"

    @property
    def console_url(self) -> str:
        """Where the management API is."""
        return f"http://{LOOPBACK}:{self.console_port}"

    @property
    def stub_url(self) -> str:
        """Where the stub provider is."""
        return f"http://{LOOPBACK}:{self.stub_port}"

    @property
    def health(self) -> Mapping[str, int]:
        """The health port of each process that has one, by its name."""
        return self._health

    def health_port(self, name: str) -> int:
        """Of one process."""
        if name not in self._health:
            self._health[name] = free_port()
        return self._health[name]

    def ingress_port(self, name: str) -> int:
        """Of one ingress; the first one's is the user's choice."""
        if name not in self._ingress:
            self._ingress[name] = free_port() if self._ingress else self._first_ingress
        return self._ingress[name]

    def ingress_url(self, name: str) -> str:
        """The base URL of one ingress."""
        return f"http://{LOOPBACK}:{self.ingress_port(name)}{API_PATH}"

    def forget(self, name: str) -> None:
        """A process is no more."""
        self._health.pop(name, None)
