"""By which address a client is known. Pure.

Only what our own proxies wrote counts. Each of them appends the address of who called it to one header, so of that
header the last entries are theirs, as many as there are proxies; all before them is what the client says. A request
with fewer entries did not come through all of them: it is known by the other end of its connection.
"""

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, get_args

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
FORWARDED_HEADERS: tuple[str, ...] = get_args(ForwardedHeader)

MOST_NETWORKS = 16
"""/64 networks of one /48 that are clients of their own; providers give a household a /56 or a /64."""
MOST_SITES = 20_000
_UNKNOWN = "unknown"
_FOR = re.compile(r"""(?:^|;)\s*for=("[^"]*"|[^;,\s]+)""", re.IGNORECASE)


def caller_address(peer: str, headers: Mapping[str, str], proxies: int, header: ForwardedHeader) -> str:
    """The address of a client as the outermost trusted proxy saw it; ``unknown`` where there is none.

    Args:
        peer: the other end of the connection.
        headers: by lower-case name, lines of one name joined by commas.
        proxies: how many trusted ones stand before us, one behind the other.
        header: which one they append to: ``Forwarded`` (RFC 7239) or ``X-Forwarded-For``. The other is the client's.
    """
    if proxies:
        hops = _hops(headers.get(header, ""), header)
        named = _address(hops[-proxies]) if len(hops) >= proxies else None
        if named:
            return named
    return _address(peer) or _UNKNOWN


class Clients:
    """Which addresses are one client: an IPv4 address, or a /64 of IPv6.

    Who holds a /48 has 65,536 of those. So the first `MOST_NETWORKS` that are seen of a /48 are clients of their own,
    and all its others are one, the /48.
    """

    def __init__(self) -> None:
        self._sites: OrderedDict[int, set[int]] = OrderedDict()

    def client_of(self, address: str) -> str:
        """The name of the client that has an address, as `caller_address` gives it."""
        if address == _UNKNOWN:
            return address
        parsed = ipaddress.ip_address(address)
        if isinstance(parsed, ipaddress.IPv4Address):
            return address
        network, site = int(parsed) >> 64, int(parsed) >> 80
        known = self._sites.setdefault(site, set())
        self._sites.move_to_end(site)
        if len(self._sites) > MOST_SITES:
            self._sites.popitem(last=False)
        if network not in known and len(known) >= MOST_NETWORKS:
            return str(ipaddress.ip_network((site << 80, 48)))
        known.add(network)
        return str(ipaddress.ip_network((network << 64, 64)))


@lru_cache(maxsize=4_096)
def _address(text: str) -> str | None:
    """Clients come again."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        # The scope of a link-local address is the interface's name here.
        parsed = ipaddress.IPv6Address(int(parsed))
    return str(parsed)


def _hops(value: str, header: ForwardedHeader) -> list[str]:
    """The addresses that were appended, the nearest last."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if header == "x-forwarded-for":
        return [_without_port(entry) for entry in entries]
    found = (_FOR.search(entry) for entry in entries)
    return [_without_port(entry.group(1)) if entry else "" for entry in found]


def _without_port(node: str) -> str:
    node = node.strip('"')
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node
