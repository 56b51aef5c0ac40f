"""Which addresses may be called that a user of the gateway names. Pure."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

MOST_URL_CHARACTERS = 2_000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressError(ValueError):
    """The URL may not be called; the message is for who named it."""


def is_public(address: str) -> bool:
    """The address is of the open internet: not loopback, private, link-local, multicast, or one of these as IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if parsed in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
    return parsed.is_global and not parsed.is_multicast


class Reachable:
    """The open internet, and networks that the operator names."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """
        Args:
            networks: in CIDR notation. Raises ValueError where one is none.
        """
        self._networks: list[Network] = [ipaddress.ip_network(network) for network in networks]

    def allows(self, address: str) -> bool:
        """An IP address may be connected to."""
        return is_public(address) or self._is_named(address)

    def checked(self, url: str) -> SplitResult:
        """The parts of a URL that may be called, as far as its text says: names are resolved when it is called.

        Raises:
            AddressError: it is not https (http: for an IP address of a named network), holds credentials or a fragment,
                or names an address that may not be called.
        """
        if len(url) > MOST_URL_CHARACTERS or not url.isascii() or any(one in url for one in "\\\t\r\n #"):
            raise AddressError(f"an address is a URL of at most {MOST_URL_CHARACTERS} characters, without white space")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise AddressError("this is not a URL") from None
        if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc or port == 0:
            raise AddressError("an address begins with https:// and a host, without a user or a password")
        literal = is_literal(host)
        if literal and not self.allows(host):
            raise AddressError("this address is not public; the gateway's operator can name its network")
        if parts.scheme == "http" and not (literal and self._is_named(host)):
            raise AddressError("an address begins with https://")
        return parts

    def _is_named(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


def is_literal(host: str) -> bool:
    """The host is an IP address, and not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
