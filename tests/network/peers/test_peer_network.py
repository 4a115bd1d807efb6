"""Nodes find each other, stay connected, and reconnect."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PeerOptions
from fedcoin.network.peers.connections import dialer
from fedcoin.network.peers.connections.address_book import AddressBook
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link, open_link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_exchange import PeerExchange
from fedcoin.v1.peer_service_pb2 import ListPeersResponse, PeerAddress
from tests.conftest import ReportAttack
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, running, visiting
from tests.support.ports import reserve_addresses, reserve_ports
from tests.support.waiting import let_others_run, until


async def test_both_can_call_each_other_though_one_dialled(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
        async with running(second):
            await until(lambda: first.linked() == second.linked() == 1)
            assert [info.outbound for info in first.network.peers()] == [False]
            assert [info.outbound for info in second.network.peers()] == [True]
            assert first.network.peers()[0].address == second.network.address
            assert first.network.peers()[0].node_key == MINERS[1].public_key
            assert first.network.peers()[0].agent == "test/1"
            # Pings tell both sides the other's time; here both read one clock.
            nodes = (first, second)
            await until(lambda: all(node.clock_difference_ms() is not None for node in nodes))
            assert all(abs(node.clock_difference_ms() or 0) < 10_000 for node in nodes)


async def test_peers_tell_of_each_other(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    hub = PeerNode(tmp_path / "hub", genesis, STRANGER)
    async with running(hub):
        nodes = [
            PeerNode(tmp_path / str(i), genesis, MINERS[i], seeds=[hub.address]) for i in range(4)
        ]
        async with running(*nodes):
            await until(lambda: all(node.linked() == 4 for node in [hub, *nodes]))


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses that nodes dialled, successfully or not."""
    addresses: list[str] = []

    async def recorded(endpoint: Endpoint, *rest: Any) -> Link:
        try:
            return await open_link(endpoint, *rest)
        finally:
            addresses.append(str(endpoint))

    monkeypatch.setattr(dialer, "open_link", recorded)
    return addresses


async def test_without_peer_exchange_only_seeds_are_dialled(tmp_path: Path) -> None:
    genesis, options = make_network_genesis(), replace(FAST, peer_exchange=False)
    hub = PeerNode(tmp_path / "hub", genesis, STRANGER)
    async with running(hub):
        one, two = (
            PeerNode(tmp_path / str(i), genesis, MINERS[i], seeds=[hub.address], options=options)
            for i in range(2)
        )
        async with running(one, two):
            await until(lambda: hub.linked() == 2)
            await until(lambda: one.linked() == two.linked() == 1)
            exchanging = PeerNode(tmp_path / "2", genesis, MINERS[2], seeds=[hub.address])
            async with running(exchanging):
                await until(lambda: exchanging.linked() == 3)
                assert one.network.peer_set.get(two.key.public_key) is None


async def test_a_dead_seed_is_a_warning_and_not_a_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dialled: list[str]
) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        seeds = ["127.0.0.1:1", first.address, "no-such-host.invalid:7050"]
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=seeds)
        with caplog.at_level(logging.INFO):
            async with running(second):
                await until(lambda: second.linked() == 1)
                await until(lambda: dialled.count("127.0.0.1:1") > 2)
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        dead = [text for text in warnings if "cannot connect to 127.0.0.1:1," in text]
        assert len(dead) == 1, "once, not for each try"
        assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_seed_of_another_network_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = PeerNode(tmp_path / "0", make_network_genesis("other"), MINERS[0])
    async with running(other):
        node = PeerNode(tmp_path / "1", make_network_genesis(), MINERS[1], seeds=[other.address])
        with caplog.at_level(logging.WARNING):
            async with running(node):
                await until(lambda: "has 'other'" in caplog.text)
        assert not other.network.peers()


async def test_a_node_does_not_connect_to_itself(tmp_path: Path, dialled: list[str]) -> None:
    genesis = make_network_genesis()
    (port,) = reserve_ports(1)
    options = replace(FAST, listen=f"127.0.0.1:{port}")
    node = PeerNode(
        tmp_path / "1", genesis, MINERS[0], seeds=[f"localhost:{port}"], options=options
    )
    async with running(node):
        await until(lambda: dialled)
        await let_others_run()
        assert not node.network.peers()
    assert dialled == [f"localhost:{port}"], "once, and never again"


async def test_a_peer_that_was_gone_is_dialled_again(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    (address,) = reserve_addresses(1)
    options = replace(FAST, listen=address)
    first = PeerNode(tmp_path / "0", genesis, MINERS[0], options=options)
    await first.start()
    second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[address])
    async with running(second):
        await until(lambda: first.linked() == second.linked() == 1)
        await first.stop()
        await until(lambda: second.linked() == 0)
        back = PeerNode(tmp_path / "0", genesis, MINERS[0], options=options)
        async with running(back):
            await until(lambda: back.linked() == second.linked() == 1)


async def test_the_address_book_outlives_the_process(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
        async with running(second):
            await until(lambda: second.linked() == 1)
            await second.network.ban(STRANGER.public_key, 60)
        kept = json.loads((tmp_path / "1" / "peers.json").read_text())
        assert kept["peers"][0]["address"] == first.network.address
        assert kept["bans"][0]["node_key"] == STRANGER.public_key.hex()
        without_seed = PeerNode(tmp_path / "1", genesis, MINERS[1])
        async with running(without_seed):
            await until(lambda: without_seed.linked() == 1)
            with pytest.raises(RefusalError, match="banned"):
                async with visiting(without_seed, STRANGER):
                    pass


async def test_the_operator_adds_drops_and_bans(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first, second = (PeerNode(tmp_path / str(i), genesis, MINERS[i]) for i in range(2))
    async with running(first, second):
        assert await second.network.add(first.address) == first.key.public_key
        await until(lambda: first.linked() == second.linked() == 1)
        assert await second.network.add(first.address) == first.key.public_key
        assert second.linked() == 1
        await second.network.drop(first.key.public_key)
        assert not second.network.peers()
        with pytest.raises(RefusalError) as caught:
            await second.network.drop(STRANGER.public_key)
        assert caught.value.code is NetworkCode.PEER_NOT_CONNECTED
        await until(lambda: first.linked() == second.linked() == 1)
        await second.network.ban(first.key.public_key, 60)
        await until(lambda: not first.network.peers() and not second.network.peers(), seconds=30)
        for address, code in [
            (first.address, NetworkCode.BANNED),
            ("127.0.0.1:1", NetworkCode.PEER_UNREACHABLE),
            ("nonsense", NetworkCode.BAD_HOST),
            (second.address, NetworkCode.SELF_CONNECTION),
        ]:
            with pytest.raises(RefusalError) as caught:
                await second.network.add(address)
            assert caught.value.code is code


async def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        options = replace(FAST, listen=first.address)
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], options=options)
        with pytest.raises(RefusalError, match=first.address) as caught:
            await second.start()
        assert caught.value.code is NetworkCode.PORT_IN_USE
        await second.stop()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (PeerOptions(listen="0.0.0.0:0"), NetworkCode.NOT_SECURE),
        (PeerOptions(listen="nonsense"), NetworkCode.BAD_HOST),
        (PeerOptions(seeds=("nonsense",)), NetworkCode.BAD_HOST),
        (PeerOptions(advertise="nonsense"), NetworkCode.BAD_HOST),
    ],
)
async def test_settings_that_do_not_work(
    tmp_path: Path, options: PeerOptions, code: NetworkCode
) -> None:
    async def start() -> None:
        node = PeerNode(
            tmp_path, make_network_genesis(), MINERS[0], seeds=options.seeds, options=options
        )
        await node.start()

    with pytest.raises(RefusalError) as caught:
        await start()
    assert caught.value.code is code


async def test_plaintext_beyond_loopback_only_when_asked_for(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    options = replace(FAST, listen="0.0.0.0:0", insecure=True)
    first = PeerNode(tmp_path / "0", genesis, MINERS[0], options=options)
    async with running(first):
        port = first.address.rpartition(":")[2]
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[f"127.0.0.1:{port}"])
        async with running(second):
            await until(lambda: first.linked() == second.linked() == 1)
            # The peer announced 0.0.0.0; the dialled address counts.
            assert second.network.peers()[0].address == (
                f"{MINERS[0].public_key.hex()}@127.0.0.1:{port}"
            )
            with pytest.raises(RefusalError) as caught:
                await second.network.add("192.0.2.1:7050")
            assert caught.value.code is NetworkCode.NOT_SECURE


def told(*addresses: str) -> ListPeersResponse:
    return ListPeersResponse(
        peers=[
            PeerAddress(address=address, node_key=bytes([i]) * 32)
            for i, address in enumerate(addresses, 100)
        ]
    )


async def test_a_remote_peer_cannot_make_a_node_dial_loopback(tmp_path: Path) -> None:
    node = PeerNode(tmp_path, make_network_genesis(), MINERS[0])
    book = AddressBook()
    exchange = PeerExchange(MINERS[0].public_key, node.network.peer_set, book, node.owner)
    identity = Identity(STRANGER.public_key, "x", None, 0)
    far = Peer(identity, "192.0.2.7", outbound=False, now=0.0)
    exchange.learn(far, told("127.0.0.1:22", "0.0.0.0:1", "192.0.2.8:7050"))
    assert [str(endpoint) for endpoint in book.candidates(())] == [
        f"{bytes([102] * 32).hex()}@192.0.2.8:7050"
    ]
    with pytest.raises(RefusalError):
        exchange.learn(far, told("nonsense"))
    far.host = "127.0.0.1"
    exchange.learn(far, told("127.0.0.1:7099"))
    assert len(book) == 2
    await node.stop()


async def test_a_seed_that_is_full_is_dialled_again_soon_and_one_of_another_chain_is_not(
    tmp_path: Path, dialled: list[str]
) -> None:
    genesis = make_network_genesis()
    patient = replace(FAST, peer_exchange=False, max_backoff_s=60.0)
    full = PeerNode(tmp_path / "0", genesis, MINERS[0], options=replace(patient, max_inbound=0))
    foreign = PeerNode(tmp_path / "1", make_network_genesis("another"), MINERS[1], options=patient)
    async with running(full, foreign):
        seeds = [full.address, foreign.address]
        node = PeerNode(tmp_path / "2", genesis, MINERS[2], seeds=seeds, options=patient)
        async with running(node):
            await until(lambda: dialled.count(full.address) == 3)
            assert dialled.count(foreign.address) == 1


async def test_a_peer_cannot_make_a_node_dial_a_third_party(
    tmp_path: Path, dialled: list[str]
) -> None:
    genesis = make_network_genesis()
    node = PeerNode(tmp_path / "0", genesis, MINERS[0], options=replace(FAST, peer_exchange=False))
    victim = PeerNode(tmp_path / "1", genesis, MINERS[1])
    async with running(node, victim):
        async with visiting(node, STRANGER, listen_address=lambda: victim.address):
            began = time.monotonic()
            await until(lambda: len(dialled) == 4)
        assert not victim.network.peers()
        # Pauses between the four attempts grow.
        assert time.monotonic() - began > 3 * FAST.first_backoff_s
        assert set(dialled) == {victim.address}


def impostor(tmp_path: Path, node: PeerNode) -> PeerNode:
    """Make a node with another key at the address of a node that has stopped."""
    options = replace(FAST, listen=node.address, peer_exchange=False)
    return PeerNode(tmp_path / "impostor", node.genesis, STRANGER, options=options)


async def test_a_seed_with_a_key_is_met_by_that_node_only(
    tmp_path: Path, dialled: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    genesis = make_network_genesis()
    (address,) = reserve_addresses(1)
    options = replace(FAST, listen=address)
    first = PeerNode(tmp_path / "0", genesis, MINERS[0], options=options)
    async with running(first):
        seed = first.network.address
        assert seed == f"{MINERS[0].public_key.hex()}@{first.address}"
    node = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[seed])
    false = impostor(tmp_path, first)
    async with running(false, node):
        await until(lambda: dialled.count(false.address) > 2)
        assert not node.network.peers()
        with pytest.raises(RefusalError, match=r"not [0-9a-f]{64} as expected") as caught:
            await node.network.add(seed)
        assert caught.value.code is NetworkCode.WRONG_PEER
    assert "pinned" not in caplog.text


async def test_a_seed_without_a_key_is_pinned_to_the_first_that_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genesis = make_network_genesis()
    (address,) = reserve_addresses(1)
    options = replace(FAST, listen=address)
    first = PeerNode(tmp_path / "0", genesis, MINERS[0], options=options)
    async with running(first):
        node = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
        async with running(node):
            await until(lambda: node.linked() == 1)
    warnings = [line for line in caplog.messages if "names no node key" in line]
    assert len(warnings) == 1
    assert f"write {MINERS[0].public_key.hex()}@{first.address} instead" in warnings[0]
    # The pin outlives the process, and the operator's own request does not go around it.
    again = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
    false = impostor(tmp_path, first)
    async with running(false, again):
        await until(lambda: "cannot connect to" in caplog.text)
        with pytest.raises(RefusalError) as caught:
            await again.network.add(first.address)
        assert caught.value.code is NetworkCode.WRONG_PEER
        assert not again.network.peers()
        # Naming the new key does.
        await again.network.add(f"{STRANGER.public_key.hex()}@{first.address}")
        assert again.linked() == 1


@pytest.mark.attack
async def test_a_connected_peer_whose_key_is_refused_is_dropped_for_good(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        second = PeerNode(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
        third = PeerNode(tmp_path / "2", genesis, MINERS[2], seeds=[first.address])
        async with running(second, third):
            await until(lambda: first.linked() == 2)
            first.network.refuse_keys({MINERS[1].public_key})
            assert [peer.key for peer in first.network.peer_set] == [MINERS[2].public_key]
            with pytest.raises(RefusalError) as refused:
                await second.network.add(first.address)
            assert refused.value.code is NetworkCode.KEY_REFUSED
            with pytest.raises(RefusalError) as refused:
                await first.network.add(second.address)
            assert refused.value.code is NetworkCode.KEY_REFUSED
            # The operator may take the key off the list again.
            first.network.refuse_keys(set())
            await second.network.add(first.address)
            await until(lambda: first.linked() == 2)
    report_attack(
        "a stolen node key stays connected after its owner has told the other operators",
        "its connections until each node is started again",
        "is disconnected as soon as the key is in `peers.refused_keys`",
    )
