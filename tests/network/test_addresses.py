"""Which addresses may be spoken to where somebody else chose them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Refused, RemoteFailed
from runner.network.addresses import check_name, is_public, resolved

INNER = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:53aa:64c:0:fffe:8000:0",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_not_public_in_any_spelling(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["20.50.2.1", "8.8.8.8", "2603:1020::1", "::ffff:20.50.2.1", "64:ff9b::1432:201"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_inside_another(address: ipaddress.IPv4Address) -> None:
    mapped = f"::ffff:{address}"
    translated = str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address)))

    assert is_public(str(address)) == is_public(mapped) == is_public(translated)


@given(st.ip_addresses())
def test_nothing_private_is_ever_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        mapped = getattr(address, "ipv4_mapped", None)
        assert not is_public(str(address)) or (mapped is not None and is_public(str(mapped)))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "169.254.169.254", "::1"]
)
def test_a_host_that_leads_inside_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(Refused) as refusal:
        resolved(host, 443, allowed=(), what="function")

    assert refusal.value.code == "function-address-not-allowed"


@pytest.mark.parametrize("allowed", [{"localhost"}, {"localhost:443"}])
def test_a_host_that_is_allowed_by_name_may_lead_anywhere(allowed: set[str]) -> None:
    assert "127.0.0.1" in resolved("LocalHost", 443, allowed=allowed, what="function")


def test_a_host_that_is_allowed_at_another_port_is_refused() -> None:
    with pytest.raises(Refused):
        resolved("localhost", 8443, allowed={"localhost:443"}, what="function")


def test_a_host_without_address_cannot_be_reached() -> None:
    with pytest.raises(RemoteFailed) as failure:
        resolved("nobody.invalid", 443, allowed=(), what="function")

    assert failure.value.code == "function-unreachable"


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..b", "xn--\u00e4.example"])
def test_a_host_that_is_no_name_cannot_be_reached(host: str) -> None:
    with pytest.raises(RemoteFailed):
        resolved(host, 443, allowed=(), what="function")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "metadata",
        "metadata.google.internal",
        "db.corp",
        "x.local",
        "127.1",
        "10.0.0.1",
        "[::1]",
        "2130706433",
    ],
)
def test_behind_a_proxy_the_form_of_the_name_is_checked(host: str) -> None:
    with pytest.raises(Refused):
        check_name(host, 443, allowed=(), what="function")
    check_name(host, 443, allowed={host}, what="function")


@pytest.mark.parametrize("host", ["my-app.azurewebsites.net", "20.50.2.1", "functions.example.com."])
def test_behind_a_proxy_public_names_pass(host: str) -> None:
    check_name(host, 443, allowed=(), what="function")
