"""What the checks of ports, of a running node and of its seeds say."""

from __future__ import annotations

import socket
from pathlib import Path

from fedcoin.application.configuration.config import ApiConfig, NodeConfig, PeersConfig, TlsConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.diagnosis.finding import Level
from fedcoin.application.diagnosis.node_checks import check_clock, check_node, check_peers
from fedcoin.application.diagnosis.port_checks import check_ports
from fedcoin.application.diagnosis.seed_checks import check_seeds
from fedcoin.v1.node_service_pb2 import ConnectedPeer, GetStatusResponse
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.ports import reserve_addresses


def test_a_port_that_another_program_uses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        (free,) = reserve_addresses(1)
        config = NodeConfig(peers=PeersConfig(listen=taken), api=ApiConfig(listen=free))
        stopped = [found.level for found in check_ports(config, is_running=False)]
        running = [found.level for found in check_ports(config, is_running=True)]
    assert stopped[:2] == [Level.WRONG, Level.OK]
    assert running[:2] == [Level.OK, Level.WARNING]


def test_the_address_that_peers_dial() -> None:
    def level(listen: str, advertise: str = "", seeds: tuple[str, ...] = ()) -> Level:
        peers = PeersConfig(listen=listen, advertise=advertise, seeds=seeds)
        config = NodeConfig(peers=peers, api=ApiConfig(listen="127.0.0.1:0"))
        return list(check_ports(config, is_running=False))[-1].level

    # Loopback is right for a trial on one machine, but peers elsewhere could not dial back.
    assert level("127.0.0.1:0") is level("127.0.0.1:0", seeds=("127.0.0.1:7050",)) is Level.NOTE
    assert level("127.0.0.1:0", seeds=("node-a.example.org:7050",)) is Level.WARNING
    assert level("0.0.0.0:0") is Level.WARNING
    assert level("0.0.0.0:0", "node-a.example.org:7050") is Level.OK


def test_the_advice_to_listen_elsewhere_names_what_that_takes() -> None:
    peers, api = PeersConfig(listen="127.0.0.1:0"), ApiConfig(listen="127.0.0.1:0")
    advice = list(check_ports(NodeConfig(peers=peers, api=api), is_running=False))[-1].advice
    assert "TLS files" in advice
    insecure = NodeConfig(peers=peers, api=api, tls=TlsConfig(insecure=True))
    assert "TLS" not in list(check_ports(insecure, is_running=False))[-1].advice


def test_a_running_node() -> None:
    good = GetStatusResponse(height=7, connected_power=3, total_power=4, validator=True)
    assert [found.level for found in check_node(good)] == [Level.OK, Level.OK]
    silent = GetStatusResponse(connected_power=1, total_power=4, vote_overdue=True)
    assert [found.level for found in check_node(silent)] == [Level.WRONG, Level.WRONG]
    behind = GetStatusResponse(catching_up=True)
    assert [found.level for found in check_node(behind)] == [Level.WARNING]


def test_clocks() -> None:
    def level(difference_ms: int) -> Level:
        return check_clock(GetStatusResponse(clock_difference_ms=difference_ms), 5000).level

    assert [level(ms) for ms in (-3000, -600, 5, 2600)] == [
        Level.WRONG,
        Level.WARNING,
        Level.OK,
        Level.WRONG,
    ]
    assert check_clock(GetStatusResponse(), 5000).level is Level.UNKNOWN


def test_peers_that_cannot_dial_back() -> None:
    both, one_way = ConnectedPeer(inbound=True), ConnectedPeer(outbound=True)
    assert [found.level for found in check_peers([both], True)] == [Level.OK, Level.OK]
    alone, back = check_peers([both, one_way], True)
    assert (alone.level, back.level) == (Level.OK, Level.WARNING)
    assert back.text == "1 of 2 peers could dial this node"
    assert [found.level for found in check_peers([], True)] == [Level.WRONG]
    assert [found.level for found in check_peers([], False)] == [Level.WARNING]


async def test_seeds_are_greeted_as_the_home_s_node(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    home = Home(tmp_path / "home")
    home.add_key("node", MINERS[1])
    home.write(genesis.raw, {})
    node = PeerNode(tmp_path / "node", genesis, MINERS[0])
    (nothing,) = reserve_addresses(1)
    async with running(node):
        right = f"{MINERS[0].public_key.hex()}@{node.address}"
        wrong = f"{MINERS[2].public_key.hex()}@{node.address}"
        config = NodeConfig(peers=PeersConfig(seeds=(right, wrong, nothing)))
        found = await check_seeds(home, config)
        assert not node.network.peers()  # the check leaves no connection behind
    assert [each.level for each in found] == [Level.OK, Level.WRONG, Level.WRONG]
    assert "at height 0 (test/1)" in found[0].text
    assert "ask its operator for the present key" in found[1].advice
    assert [each.level for each in await check_seeds(home, NodeConfig())] == [Level.NOTE]
    open_to_all = NodeConfig(peers=PeersConfig(listen="0.0.0.0:7050"))
    assert [each.level for each in await check_seeds(home, open_to_all)] == [Level.WARNING]
