from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.explorer.serving.request_guard import AnsweredHosts
from tests.support.explored_chain import call, explore


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("127.0.0.1:7080", True),
        ("127.0.0.1", True),
        ("localhost:1", True),
        ("LOCALHOST", True),
        ("[::1]:7080", True),
        ("[::1]", True),
        ("evil.example:7080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:7080@evil.example", False),
        ("evil.example:127.0.0.1", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str, is_answered: bool) -> None:
    assert AnsweredHosts(loopback_only=True).has(host) is is_answered


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("192.168.1.7:7080", True),
        ("[fe80::1]:7080", True),
        ("localhost:7080", True),
        ("Chain.Example.org", True),
        ("chain.example.org:443", True),
        ("evil.example:7080", False),
        ("192.168.1.7.evil.example", False),
        ("", False),
    ],
)
def test_elsewhere_addresses_and_chosen_names_are_answered(host: str, is_answered: bool) -> None:
    hosts = AnsweredHosts(loopback_only=False, names=frozenset({"chain.example.org"}))
    assert hosts.has(host) is is_answered


async def test_other_hosts_and_methods_are_refused(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        for headers in ({"host": "evil.example"}, {}):
            answer = await call(explored.app, "GET", "/check", headers)
            assert (answer.status, "WRONG_ADDRESS" in answer.text) == (421, True)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            answer = await call(explored.app, method, "/check", {"host": "localhost"})
            assert (answer.status, "BAD_ARGUMENT" in answer.text) == (405, True)
            assert answer.headers["allow"] == "GET, HEAD"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert (await call(explored.app, "HEAD", "/check", {"host": "localhost"})).status == 200
