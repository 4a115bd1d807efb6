"""Addresses `host:port` from peers and settings."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7050", "127.0.0.1", 7050),
        ("miner-1.example.org:1", "miner-1.example.org", 1),
        ("miner_1:65535", "miner_1", 65535),
        ("[::1]:7050", "::1", 7050),
    ],
)
def test_reads_and_writes(text: str, host: str, port: int) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint == Endpoint(host, port)
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":7050",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:٣",
        "unix:/tmp/socket:1",
        "dns:///host:1",
        "ho st:1",
        "-host:1",
        "::1:7050",
        "[::g]:7050",
        "[127.0.0.1]:7050",
        "h" * 64 + ":1",
        "h." * 130 + "h:1",
        "host:123456",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(RefusalError) as refused:
        parse_endpoint(text, "seeds")
    assert refused.value.code is NetworkCode.BAD_HOST
    assert refused.value.field == "seeds"


def test_a_listener_may_choose_its_port() -> None:
    assert parse_endpoint("127.0.0.1:0", any_port=True).port == 0


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RefusalError):
        endpoint = parse_endpoint(text)
        assert parse_endpoint(str(endpoint)) == endpoint


def test_loopback_and_wildcard() -> None:
    assert parse_endpoint("127.8.9.1:1").loopback
    assert parse_endpoint("[::1]:1").loopback
    assert parse_endpoint("localhost:1").loopback
    assert not parse_endpoint("10.0.0.1:1").loopback
    assert not parse_endpoint("localhost.example.org:1").loopback
    wildcard = parse_endpoint("0.0.0.0:7050")
    assert wildcard.wildcard
    assert wildcard.seen_from("10.0.0.9") == Endpoint("10.0.0.9", 7050)
    assert wildcard.seen_from("") == wildcard
    assert parse_endpoint("miner:1").seen_from("10.0.0.9") == Endpoint("miner", 1)
