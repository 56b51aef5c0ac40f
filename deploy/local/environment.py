"""Which variables a service is given: its own, and what all need. A secret is where it is used, and nowhere else."""

import os
from collections.abc import Mapping

from contracts.services import SERVICES as SPECS
from deploy.local.addresses import Addresses
from deploy.local.home import Home, plain_environment
from deploy.local.options import StackOptions
from deploy.local.postgres import SCHEMAS, EmbeddedPostgres
from deploy.local.stub import KEY_VARIABLE
from deploy.local.trees import Tree
from libs.bus.settings import BusSettings
from libs.bus.signing import trusted_variable
from libs.config.gateway import CONFIG_VARIABLE, load_config

_OF_ONE = {
    "SLUICE_CONSOLE_": "console",
    "SLUICE_INGRESS_": "ingress",
    "SLUICE_RELAY_": "relay",
    "SLUICE_VAULT_": "key-vault",
    "SLUICE_SINK_": "sinks",
}
"""Prefixes of settings that belong to one service."""
_OF_NONE = ("SLUICE_HOME", "SLUICE_KEY", "SLUICE_RECORD_", "SLUICE_DATABASE_", "SLUICE_ADMIN_", "SLUICE_PASSWORD_")
"""Prefixes of what the stack gives itself, or only the command line uses."""
_SPECS = {spec.name: spec for spec in SPECS}


def passed_on(service: str, environment: Mapping[str, str], provider_keys: frozenset[str]) -> dict[str, str]:
    """The ``SLUICE_*`` variables of a command's environment that are for a service.

    Args:
        provider_keys: names of variables that hold provider keys, whatever they are called.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("SLUICE_")
        and name not in provider_keys
        and not name.startswith(_OF_NONE)
        and all(owner == service for prefix, owner in _OF_ONE.items() if name.startswith(prefix))
    }


class Environments:
    """What each process of a stack is given."""

    def __init__(self, home: Home, options: StackOptions, addresses: Addresses, postgres: EmbeddedPostgres) -> None:
        self._home = home
        self._options = options
        self._addresses = addresses
        self._postgres = postgres

    def of(self, service: str, name: str, bus: BusSettings, tree: Tree) -> dict[str, str]:
        """The whole environment of one process.

        Args:
            name: of the process: the service's, or of a further one ``relay-2``.
        """
        given = passed_on(service, os.environ, self._key_variables)
        over = passed_on(service, self._options.environment, self._key_variables)
        access = self._options.access.environment(service) if self._options.access else {}
        found = given | self._basics(name, bus) | tree.environment | self._signing(service)
        return found | self._own(service, name) | self._stub(service) | over | access

    def _basics(self, name: str, bus: BusSettings) -> dict[str, str]:
        found = plain_environment(
            SLUICE_KAFKA_BOOTSTRAP=bus.bootstrap,
            SLUICE_KAFKA_PARTITIONS=bus.partitions,
            SLUICE_KAFKA_SESSION_TIMEOUT_MS=bus.session_timeout_ms,
            SLUICE_KAFKA_INSTANCE=name,
            SLUICE_HEALTH_PORT=self._addresses.health_port(name),
        )
        if self._options.config:
            found[CONFIG_VARIABLE] = str(self._options.config.resolve())
        if self._options.otlp_endpoint:
            found["OTEL_EXPORTER_OTLP_ENDPOINT"] = self._options.otlp_endpoint
        return found

    def _own(self, service: str, name: str) -> dict[str, str]:
        found = {"SLUICE_DATABASE_URL": self._postgres.url(service)} if service in SCHEMAS else {}
        if service == "console":
            found |= {
                "SLUICE_CONSOLE_PORT": str(self._addresses.console_port),
                "SLUICE_CONSOLE_GATEWAY_URL": self._addresses.base_url,
                "SLUICE_CONSOLE_OPERATOR_TOKEN": self._home.secret("operator-token"),
                "SLUICE_CONSOLE_KEY_ENCRYPTION_KEYS": self._home.key_encryption_keys("console"),
            }
        if service == "ingress":
            found["SLUICE_INGRESS_PORT"] = str(self._addresses.ingress_port(name))
        if service == "key-vault":
            # Provider keys are for the vault alone.
            found |= self._provider_keys()
            found["SLUICE_VAULT_KEY_ENCRYPTION_KEYS"] = self._home.key_encryption_keys("key-vault")
        return found

    def _stub(self, service: str) -> dict[str, str]:
        if not self._options.stub:
            return {}
        found = {"SLUICE_PROVIDERS__STUB__BASE_URL": f"{self._addresses.stub_url}/v1"}
        return found | ({KEY_VARIABLE: self._home.secret("stub-key")} if service == "key-vault" else {})

    def _signing(self, service: str) -> dict[str, str]:
        """The service's private key, where it signs, and the public keys of those whom it reads."""
        spec = _SPECS[service]
        found = {trusted_variable(signer): self._home.trusted_keys(signer) for signer in spec.signers}
        if spec.signs:
            found["SLUICE_RECORD_KEY"] = self._home.record_key(service)
        return found

    @property
    def _key_variables(self) -> frozenset[str]:
        providers = load_config(self._options.config).providers.values()
        return frozenset(name for provider in providers for name, _ in provider.api_key_variables)

    def _provider_keys(self) -> dict[str, str]:
        known = os.environ | self._options.environment
        return {variable: known[variable] for variable in sorted(self._key_variables) if variable in known}
