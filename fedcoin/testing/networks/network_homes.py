"""The home folders of a test network's nodes, and the genesis that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.devnet.free_ports import find_free_ports
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.testing.networks.network_plan import (
    DEFAULT_PARAMETERS,
    FOLLOWER,
    NetworkPlan,
    PlannedNode,
)

CHAIN_ID = "fedcoin-test-network"
"""The name of the network."""

NUM_PAYERS = 4
"""How many accounts pay at a time."""

PUBLISHER = "publisher"
"""The account that pays for tasks."""

FUNDS = 1_000_000 * SAP_PER_FDC
"""The balance of each account in the genesis, in sap."""


@dataclass(frozen=True, slots=True)
class NodeHome:
    """One node's home and addresses."""

    node: PlannedNode
    home: Home
    key: KeyPair
    # Where its peer listener is, behind the relay, as host:port.
    listener: str
    # Where its API is, as host:port.
    api: str
    # Whether a fault moves its clock.
    has_shifted_clock: bool

    @property
    def clock_path(self) -> Path:
        """The file that holds the offset of the node's clock."""
        return self.home.root / "clock_ms"


@dataclass(frozen=True, slots=True)
class PreparedNetwork:
    """The genesis of a test network, and where its nodes will be."""

    plan: NetworkPlan
    genesis: bytes
    chain: ChainIdentity
    # All coins, in sap.
    supply: int
    # By name, in the order of the plan.
    homes: Mapping[str, NodeHome]
    payers: tuple[KeyPair, ...]
    publisher: Home


def network_key(name: str) -> KeyPair:
    """Derive the key of a node or an account. It is not secret.

    Args:
        name: The name of the node or account.

    Returns:
        An Ed25519 key pair, the same in each run.
    """
    return KeyPair.from_seed(sha256(b"fedcoin/test-network", name.encode()))


def prepare_network(plan: NetworkPlan, root: Path) -> PreparedNetwork:
    """Choose ports, and write the genesis. Homes are written later, by `write_homes`.

    Args:
        plan: The network.
        root: An empty folder for the homes.

    Returns:
        The network.

    Raises:
        RefusalError: BAD_ARGUMENT or BAD_GENESIS for parameters that the rules do not allow,
            PORT_IN_USE when too few ports are free.
    """
    keys = {node.name: network_key(node.name) for node in plan.nodes}
    payers = tuple(network_key(f"payer {number}") for number in range(NUM_PAYERS))
    rich = [*keys.values(), *payers, network_key(PUBLISHER)]
    bonds = {keys[node.name].public_key: node.bond for node in plan.nodes if node.bond}
    genesis = write_genesis(
        CHAIN_ID,
        unix_ms() - 1_000,
        balances={key.address: FUNDS for key in rich},
        bonds=bonds,
        parameters={**DEFAULT_PARAMETERS, **dict(plan.parameters)},
    )
    shifted = {name for fault in plan.faults if fault.kind == "clock" for name in fault.nodes}
    ports = iter(find_free_ports(2 * len(plan.nodes)))
    homes = {
        node.name: NodeHome(
            node,
            Home(root / node.name),
            keys[node.name],
            f"127.0.0.1:{next(ports)}",
            f"127.0.0.1:{next(ports)}",
            node.name in shifted,
        )
        for node in plan.nodes
    }
    return PreparedNetwork(
        plan,
        genesis,
        parse_genesis(genesis).identity,
        FUNDS * len(rich) + sum(bonds.values()),
        homes,
        payers,
        Home(root / PUBLISHER),
    )


def write_homes(network: PreparedNetwork, relays: Mapping[str, str]) -> None:
    """Write all homes. Each node's seeds are the nodes before it, by their relays.

    Args:
        network: The genesis, and each home's path and addresses.
        relays: The address of the relay before each node's peer listener, as host:port, by name.
    """
    before: list[NodeHome] = []
    for name, home in network.homes.items():
        settings = {
            "peers.listen": home.listener,
            "peers.advertise": relays[name],
            "peers.seeds": _seeds(before, relays),
            "api.listen": home.api,
            "miner.enabled": home.node.role != FOLLOWER,
            "miner.warm": bool(network.plan.tasks),
            # All nodes share the cores of one machine.
            "miner.processes": 1,
        }
        home.home.add_key(NODE_KEY, home.key, is_unused=True)
        home.home.write(network.genesis, settings)
        before.append(home)
    network.publisher.add_key(NODE_KEY, network_key(PUBLISHER))
    network.publisher.write(network.genesis, {})


def _seeds(homes: Sequence[NodeHome], relays: Mapping[str, str]) -> list[str]:
    return [f"{home.key.public_key.hex()}@{relays[home.node.name]}" for home in homes]
