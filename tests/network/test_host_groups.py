"""Which hosts share limits."""

from __future__ import annotations

import ipaddress

import pytest

from fedcoin.network.host_groups import HostGroups, group_of, observed_host, range_of


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("node-a.example.org", "node-a.example.org"),
        ("", ""),
    ],
)
def test_groups(host: str, group: str) -> None:
    assert group_of(host) == group


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", True),
        ("10.0.0.7", False),
    ],
)
def test_loopback_is_exempt(host: str, exempt: bool) -> None:
    assert HostGroups().is_exempt(host) is exempt


def test_exempt_networks_replace_loopback() -> None:
    groups = HostGroups((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))
    assert groups.is_exempt("10.0.0.7")
    assert groups.is_exempt("fd00::7")
    assert not groups.is_exempt("127.0.0.1")


@pytest.mark.parametrize(
    ("transport", "host"),
    [
        ("ipv4:127.0.0.1:51000", "127.0.0.1"),
        ("ipv6:%5B::1%5D:51000", "::1"),
        ("unix:/run/node.sock", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_observed_hosts(transport: str, host: str) -> None:
    assert observed_host(transport) == host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.51.100.7", "198.51.0.0/16"),
        ("::ffff:198.51.100.7", "198.51.0.0/16"),
        ("2001:db8:1:2::3", "2001:db8::/32"),
        ("node-7.Example.org", "example.org"),
        ("localhost", "localhost"),
    ],
)
def test_ranges(host: str, expected: str) -> None:
    assert range_of(host) == expected


def test_the_latest_address_of_each_validator_is_a_host_of_its_own() -> None:
    groups, network = HostGroups(), "2001:db8::/64"
    groups.validators.note(b"a" * 32, "2001:DB8::1")
    assert groups.group_of("2001:db8:0::1") == "2001:db8::1"
    assert groups.group_of("2001:db8::2") == network
    groups.validators.note(b"a" * 32, "2001:db8::2")
    assert groups.group_of("2001:db8::1") == network
    assert groups.group_of("2001:db8::2") == "2001:db8::2"
    for host in ("10.0.0.1", "::ffff:10.0.0.1", "node-a.example.org", ""):
        groups.validators.note(b"b" * 32, host)
    assert groups.validators.addresses == {"2001:db8::2"}
    assert groups.group_of("node-a.example.org") == "node-a.example.org"
