"""Which variables a service is given: its own, and what all need. A secret is where it is used, and nowhere else."""

from collections.abc import Mapping

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
