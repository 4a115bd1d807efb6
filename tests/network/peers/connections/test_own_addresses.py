"""The addresses for which a node signs handshakes."""

from __future__ import annotations

import re

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.network.peers.connections.own_addresses import OwnAddresses


@pytest.mark.parametrize(
    ("dialled", "listening", "advertised", "expected"),
    [
        ("127.0.0.1:7050", "127.0.0.1:7050", "", True),
        ("localhost:7050", "127.0.0.1:7050", "", True),
        # Another machine's relay could listen on any of these.
        ("127.0.0.2:7050", "127.0.0.1:7050", "", False),
        ("127.0.0.1:7051", "127.0.0.1:7050", "", False),
        ("10.0.0.7:7050", "127.0.0.1:7050", "", False),
        ("localhost:7050", "10.0.0.7:7050", "", False),
        ("node.example.org:7050", "0.0.0.0:7050", "", False),
        # 192.0.2.0/24 is reserved for documentation: no machine has such an address.
        ("192.0.2.7:7050", "0.0.0.0:7050", "", False),
        ("127.0.0.1:7050", "0.0.0.0:7050", "", True),
        ("localhost:7050", "0.0.0.0:7050", "", True),
        ("Node.Example.org.:7050", "0.0.0.0:7050", "node.example.org:7050", True),
        ("node.example.org:80", "0.0.0.0:7050", "node.example.org:7050", False),
        ("node.example.org:443", "0.0.0.0:7050", "node.example.org:443", True),
        ("[2001:db8::7]:7050", "[2001:DB8::0007]:7050", "", True),
    ],
)
def test_own_addresses(dialled: str, listening: str, advertised: str, expected: bool) -> None:
    own = OwnAddresses(
        lambda: parse_endpoint(listening), parse_endpoint(advertised) if advertised else None
    )
    if expected:
        own.check(parse_endpoint(dialled))
        return
    with pytest.raises(RefusalError, match=re.escape(advertised or listening)) as refused:
        own.check(parse_endpoint(dialled))
    assert refused.value.code is NetworkCode.WRONG_ADDRESS


def test_a_wildcard_is_no_address_to_dial() -> None:
    own = OwnAddresses(lambda: Endpoint("0.0.0.0", 7050), None)
    with pytest.raises(RefusalError):
        own.check(Endpoint("0.0.0.0", 7050))
