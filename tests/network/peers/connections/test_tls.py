"""Mutual TLS: a consortium's nodes connect, and others cannot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import open_link
from fedcoin.network.peers.connections.node_addresses import tls_name
from fedcoin.network.peers.connections.security import Security
from tests.support.certificates import issue, make_authority
from tests.support.handshake_relay import relaying_to
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, introduction, running
from tests.support.waiting import until

GENESIS = make_network_genesis()

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")


def dns(key: KeyPair) -> str:
    return f"DNS:{tls_name(key.public_key)}"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_authority(tmp_path / "authority")


def node_of(
    folder: Path,
    key: KeyPair,
    tls: Tls | None,
    seeds: Sequence[str] = (),
    dial_timeout_s: float = 5,
) -> PeerNode:
    options = replace(FAST, tls=tls, dial_timeout_s=dial_timeout_s)
    return PeerNode(folder / key.address.hex(), GENESIS, key, seeds, options=options)


async def test_members_meet_and_strangers_do_not(tmp_path: Path, authority: Path) -> None:
    strangers = make_authority(tmp_path / "strangers")
    first = node_of(tmp_path, MINERS[0], issue(authority, "first", dns(MINERS[0])))
    async with running(first):
        second = node_of(
            tmp_path,
            MINERS[1],
            issue(authority, "second", dns(MINERS[1])),
            # The certificate names the key alone, and no host.
            [first.network.address],
        )
        stranger = node_of(
            tmp_path,
            MINERS[2],
            issue(strangers, "stranger", dns(MINERS[2])),
            dial_timeout_s=1.0,
        )
        plain = node_of(tmp_path, MINERS[3], None, dial_timeout_s=1.0)
        async with running(second, stranger, plain):
            await until(lambda: first.linked() == second.linked() == 1)
            for outsider in (stranger, plain):
                with pytest.raises(RefusalError) as caught:
                    await outsider.network.add(first.network.address)
                assert caught.value.code is NetworkCode.PEER_UNREACHABLE
            assert len(first.network.peers()) == 1


async def test_a_listener_whose_key_is_unknown_is_asked_for_it(
    tmp_path: Path, authority: Path
) -> None:
    both = issue(authority, "both", dns(MINERS[0]), "IP:127.0.0.1")
    named, without_host = (
        node_of(tmp_path, MINERS[0], both),
        node_of(tmp_path, MINERS[2], issue(authority, "key-only", dns(MINERS[2]))),
    )
    caller = node_of(tmp_path, MINERS[1], issue(authority, "caller", dns(MINERS[1])))
    async with running(named, without_host, caller):
        assert await caller.network.add(named.address) == MINERS[0].public_key
        with pytest.raises(RefusalError) as caught:
            await caller.network.add(without_host.address)
        assert caught.value.code is NetworkCode.PEER_UNREACHABLE


async def test_a_members_certificate_does_not_speak_for_another_key(
    tmp_path: Path, authority: Path
) -> None:
    target = node_of(tmp_path, MINERS[0], issue(authority, "target", dns(MINERS[0])))
    member = issue(authority, "member", dns(MINERS[1]))
    async with running(target):
        with pytest.raises(RefusalError, match=tls_name(MINERS[2].public_key)) as caught:
            await open_link(
                parse_endpoint(target.address),
                introduction(GENESIS, MINERS[2]),
                Security(member, insecure=False),
                5.0,
                MINERS[0].public_key,
            )
        assert caught.value.code is NetworkCode.WRONG_CERTIFICATE
        assert not target.network.peers()


async def test_a_member_in_the_middle_hears_nothing(tmp_path: Path, authority: Path) -> None:
    # The relay is a member with a valid certificate, and peers were told that it is the target.
    target = node_of(tmp_path, MINERS[0], issue(authority, "target", dns(MINERS[0])))
    caller = node_of(tmp_path, MINERS[1], issue(authority, "caller", dns(MINERS[1])))
    relay_security = Security(
        issue(authority, "relay", dns(MINERS[2]), "IP:127.0.0.1"), insecure=False
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(target, caller))
        relay = await stack.enter_async_context(
            relaying_to(target.network.address, security=relay_security)
        )
        with pytest.raises(RefusalError) as caught:
            await caller.network.add(f"{MINERS[0].public_key.hex()}@{relay.address}")
        assert caught.value.code is NetworkCode.PEER_UNREACHABLE
        assert not relay.refusals
        # Without a key to insist on, the relay's certificate does not fit the key that it claims.
        with pytest.raises(RefusalError) as caught:
            await caller.network.add(relay.address)
        assert relay.refusals == ["WRONG_CERTIFICATE"]
        assert not relay.sessions
    assert not caller.network.peer_set.banned()
    assert not target.network.peer_set.banned()


@pytest.mark.parametrize("names", [("DNS:localhost", "IP:127.0.0.1"), (dns(MINERS[1]),)])
async def test_a_node_does_not_start_with_a_certificate_that_peers_refuse(
    tmp_path: Path, authority: Path, names: tuple[str, ...]
) -> None:
    node = node_of(tmp_path, MINERS[0], issue(authority, "wrong", *names))
    with pytest.raises(RefusalError, match=re.escape(dns(MINERS[0]))) as caught:
        await node.start()
    assert caught.value.code is NetworkCode.WRONG_CERTIFICATE
    await node.stop()


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, authority: Path) -> None:
    other = make_authority(tmp_path / "other")
    mixed = replace(issue(other, "node", dns(MINERS[0])), authority=authority / "ca.pem")
    with pytest.raises(RefusalError) as caught:
        Security(mixed, insecure=False).check_certificate(MINERS[0].public_key)
    assert caught.value.code is NetworkCode.WRONG_CERTIFICATE


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "no.pem", tmp_path / "no.key", tmp_path / "no-authority.pem")
    with pytest.raises(RefusalError, match="no-authority") as caught:
        PeerNode(tmp_path / "0", GENESIS, MINERS[0], options=replace(FAST, tls=tls))
    assert caught.value.code is NetworkCode.BAD_TLS_FILES
