"""Addresses of nodes as text."""

from __future__ import annotations

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.node_addresses import NodeAddress, parse_node_address

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "address",
    [
        NodeAddress(Endpoint("node-a.example.org", 7050), KEY),
        NodeAddress(Endpoint("2001:db8::7", 7050), KEY),
        NodeAddress(Endpoint("127.0.0.1", 1), None),
    ],
)
def test_text_comes_back(address: NodeAddress) -> None:
    assert parse_node_address(str(address)) == address


def test_the_text_is_key_at_host_port() -> None:
    assert str(NodeAddress(Endpoint("h", 1), KEY)) == f"{KEY.hex()}@h:1"


@pytest.mark.parametrize(
    "text",
    [
        f"{KEY.hex()}@",
        f"{KEY.hex()}@h",
        f"{KEY.hex()}@h:0",
        "@h:1",
        f"{KEY.hex()[1:]}@h:1",
        f"{KEY.hex()}0@h:1",
        f"{'AB' * 32}@h:1",
        f"{'xy' * 32}@h:1",
        f"{KEY.hex()}@{KEY.hex()}@h:1",
        f"{KEY.hex()}@unix:/run/socket",
    ],
)
def test_malformed_text(text: str) -> None:
    with pytest.raises(RefusalError) as refused:
        parse_node_address(text, "seeds")
    assert (refused.value.code, refused.value.field) == (NetworkCode.BAD_HOST, "seeds")
