"""By which address a client is known, whatever it says of itself."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.identity.addresses import MOST_NETWORKS, Clients, ForwardedHeader, caller_address

XFF: ForwardedHeader = "x-forwarded-for"
RFC: ForwardedHeader = "forwarded"
addresses = st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("peer", "headers", "proxies", "header", "address"),
    [
        ("10.0.0.1", {XFF: "1.2.3.4"}, 0, XFF, "10.0.0.1"),
        ("127.0.0.1", {XFF: "1.2.3.4"}, 0, XFF, "127.0.0.1"),
        ("10.0.0.1", {RFC: "for=1.2.3.4"}, 0, RFC, "10.0.0.1"),
        ("10.0.0.1", {XFF: "6.6.6.6, 1.2.3.4"}, 1, XFF, "1.2.3.4"),
        ("10.0.0.1", {XFF: "6.6.6.6, 1.2.3.4:555, 10.0.0.9"}, 2, XFF, "1.2.3.4"),
        # It did not come through all of them.
        ("10.0.0.1", {XFF: "1.2.3.4"}, 3, XFF, "10.0.0.1"),
        ("10.0.0.1", {XFF: "garbage"}, 1, XFF, "10.0.0.1"),
        ("10.0.0.1", {XFF: " , "}, 1, XFF, "10.0.0.1"),
        ("10.0.0.1", {RFC: "for=6.6.6.6, for=1.2.3.4;proto=https"}, 1, RFC, "1.2.3.4"),
        ("10.0.0.1", {RFC: 'proto=https;For="[2001:db8:1:2::9]:4711"'}, 1, RFC, "2001:db8:1:2::9"),
        ("10.0.0.1", {RFC: "for=_hidden"}, 1, RFC, "10.0.0.1"),
        # The proxy writes one of the headers; the other is the client's.
        ("10.0.0.1", {RFC: "for=6.6.6.6", XFF: "1.2.3.4"}, 1, XFF, "1.2.3.4"),
        ("10.0.0.1", {RFC: "for=1.2.3.4", XFF: "6.6.6.6"}, 1, RFC, "1.2.3.4"),
        ("10.0.0.1", {RFC: "for=6.6.6.6"}, 1, XFF, "10.0.0.1"),
        ("2001:db8::1:2:3:4", {}, 0, XFF, "2001:db8::1:2:3:4"),
        ("::ffff:1.2.3.4", {}, 0, XFF, "1.2.3.4"),
        ("", {}, 0, XFF, "unknown"),
    ],
)
def test_the_proxies_say_where_a_request_came_from(
    peer: str, headers: dict[str, str], proxies: int, header: ForwardedHeader, address: str
) -> None:
    assert caller_address(peer, headers, proxies, header) == address


@given(said=st.text(max_size=40), other=st.text(max_size=40), seen=addresses, hops=st.lists(addresses, max_size=3))
def test_nothing_that_a_client_says_changes_what_the_proxies_saw(
    said: str, other: str, seen: str, hops: list[str]
) -> None:
    headers: dict[str, str] = {XFF: ", ".join([said, seen, *hops]), RFC: other}
    expected = caller_address(seen, {}, 0, XFF)
    assert caller_address("10.0.0.1", headers, 1 + len(hops), XFF) == expected


@given(st.lists(st.integers(0, 2**80 - 1), max_size=80))
def test_a_site_has_few_clients_however_many_networks_it_has(hosts: list[int]) -> None:
    clients = Clients()
    site = int(ipaddress.ip_address("2001:db8:1::"))
    names = [clients.client_of(str(ipaddress.ip_address(site + host))) for host in hosts]
    assert len(set(names)) <= MOST_NETWORKS + 1
    assert all(
        ipaddress.ip_address(site + host) in ipaddress.ip_network(name) for host, name in zip(hosts, names, strict=True)
    )
    # The same address is the same client.
    assert names == [clients.client_of(str(ipaddress.ip_address(site + host))) for host in hosts]


def test_clients_of_ipv4_and_of_two_sites_have_nothing_in_common() -> None:
    clients = Clients()
    assert clients.client_of("1.2.3.4") == "1.2.3.4"
    assert clients.client_of("unknown") == "unknown"
    assert clients.client_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    for number in range(100):
        clients.client_of(f"2001:db8:2:{number}::1")
    assert clients.client_of("2001:db8:2:ffff::1") == "2001:db8:2::/48"
    assert clients.client_of("2001:db8:1:3::1") == "2001:db8:1:3::/64"
