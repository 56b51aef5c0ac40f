"""The addresses to which this process lets a provider's key and prompts go, whatever the catalog on the log says.

The catalog comes from the console: whoever has the console's record key can write a version in which a provider is
somewhere else. Where keys are unsealed and calls are made, addresses are therefore those of the process's own
configuration file (`Pins.of`), which the console does not reach.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

import yaml

from libs.config.gateway import DEFAULT_FILE, GatewayConfig
from libs.config.providers import Provider

ANY = "*"


class Pins:
    """Origins (scheme, host and port) of providers. Pure."""

    def __init__(self, addresses: Iterable[str]) -> None:
        """
        Args:
            addresses: URLs; what follows the host does not count. ``*``: any.
        """
        given = set(addresses)
        self._any = ANY in given
        self._origins = frozenset(map(_origin, given - {ANY}))

    @classmethod
    def of(cls, config: GatewayConfig) -> "Pins":
        """The providers of the file and of `default.yaml`, and what ``provider_addresses`` adds."""
        known = [Provider.model_validate(one) for one in yaml.safe_load(DEFAULT_FILE.read_text())["providers"].values()]
        return cls(
            [
                *config.provider_addresses,
                *(url for one in (*known, *config.providers.values()) for url in _urls(one)),
            ]
        )

    def allow(self, provider: Provider) -> bool:
        """May the provider be called where this version of it says?"""
        return self._any or all(_origin(url) in self._origins for url in _urls(provider))

    def refused(self, provider_id: str) -> str:
        """Why not, for the operator and the client."""
        return (
            f"The address of the provider {provider_id} is none that this gateway's configuration file knows; its "
            "operator can add it to provider_addresses and restart relays, key-vaults and console."
        )


def _urls(provider: Provider) -> list[str]:
    return [provider.base_url, *([provider.token_url] if provider.platform == "vertex" else [])]


def _origin(url: str) -> tuple[str, str]:
    # Text, placeholders included: `{resource}` is one host's name in a pin, and is filled by the key's own document.
    # Whoever it is who parses it later: what hides a host from some parsers is no origin of ours.
    if any(character in url for character in "\\@\t\r\n "):
        return "", url
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


ANYWHERE = Pins([ANY])
