"""Write the home folder of each process of a devnet, with its key, settings and data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedcoin.application.configuration.cpu_count import count_usable_cpus
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.hosted_clients import HostedClient, write_hosted_clients
from fedcoin.application.devnet.child_processes import COMMAND_LINE
from fedcoin.application.devnet.dishonest_miners import load_dishonest_miners
from fedcoin.application.devnet.free_ports import find_free_ports
from fedcoin.application.devnet.plan import (
    FREE_RIDER,
    MAX_CLIENTS,
    MISLABELLED,
    ClientMember,
    DevnetOptions,
    DevnetPlan,
    Member,
    MinerMember,
    Program,
    assign_roles,
)
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.measures.target_kind import find_target_kind
from fedcoin.learning.measures.terms import NAMES
from fedcoin.learning.training import datasets
from fedcoin.learning.training.partition_spec import LINEAR
from fedcoin.learning.training.partitions import add_noise, draw_partition

CHAIN_ID = "fedcoin-devnet"
"""The name of the network."""

MINER_BOND = 1_000 * SAP_PER_FDC
"""Each miner's bond, in sap."""
MINER_BALANCE = 1_000 * SAP_PER_FDC
"""Each miner's balance beside its bond, in sap."""
ROUND_FEES = SAP_PER_FDC
"""The coordinator's coins for one round's fees, in sap, beside the budget: more than enough."""

TASK_DEPOSIT = 100 * SAP_PER_FDC
"""The coordinator's coins for the deposit of a task, in sap: more than enough."""

WRONG_LABELS = 0.6
"""The share of wrong labels in the mislabelled client's data."""

MIN_ROUND_SECONDS, CLIENT_SECONDS = 60.0, 12.0
"""How long a round waits for updates at least, and for each client, in seconds: clients that share
the cores of one machine train one after the other."""

MIN_RECEIPT_SECONDS = 3600.0
"""The shortest receipt window, in seconds; a window is at least two rounds long."""

MIN_COMMIT_SECONDS, COMMIT_SECONDS = 30.0, 2.0
"""How long miners may compute at least, and for each client, in seconds; they commit earlier when
all of them have enough samples."""

DATA = "data.npz"
"""The file of a client's data in its home."""

EXPLORER = "explorer"
"""The name of the explorer's process."""

HOST = "clients"
"""The name of the process that runs all clients, and of its list."""


@dataclass(frozen=True, slots=True)
class _Network:
    """The settings and the genesis that all homes of one devnet share."""

    options: DevnetOptions
    root: Path
    # The bytes of genesis.json.
    genesis: bytes

    def write_home(self, name: str, settings: dict[str, object]) -> Home:
        home = Home(self.root / name)
        home.add_key(NODE_KEY, self.key(name), is_unused=True)
        home.write(self.genesis, settings)
        return home

    def key(self, name: str) -> KeyPair:
        return derive_key(self.options.seed, name)


def create_devnet(options: DevnetOptions, root: Path) -> DevnetPlan:
    """Write all homes and the clients' data below a folder.

    The same options give the same keys and data, and a genesis with another time.

    Args:
        options: What the user asked for.
        root: An empty folder.

    Returns:
        The plan of the devnet, ready to be started.

    Raises:
        RefusalError: BAD_ARGUMENT when the options are out of range, PORT_IN_USE when too few ports
            are free, UNKNOWN_DATASET or BAD_DATASET when the data set is missing or invalid;
            BAD_SHARE or BAD_PARTITION when it cannot be divided so.
    """
    options.check()
    kind = find_target_kind(NAMES[options.utility])
    dataset = datasets.load_dataset(options.dataset, kind=kind)
    options.check_evaluation(len(dataset.y_test))
    miner_names = [f"miner-{number}" for number in range(1, options.miners + 1)]
    miner_keys = [derive_key(options.seed, name) for name in miner_names]
    coordinator_balance = options.budget + ROUND_FEES * (options.rounds + 1) + TASK_DEPOSIT
    genesis = write_genesis(
        CHAIN_ID,
        unix_ms(),
        balances={
            derive_key(options.seed, "coordinator").address: coordinator_balance,
            **{key.address: MINER_BALANCE for key in miner_keys},
        },
        bonds={key.public_key: MINER_BOND for key in miner_keys},
    )
    listeners = [f"127.0.0.1:{port}" for port in find_free_ports(2 * options.miners + 2)]
    server, page = listeners.pop(), listeners.pop()
    network = _Network(options, root, genesis)
    miners = tuple(_create_miners(network, miner_names, listeners))
    clients = tuple(_create_clients(network, server, dataset))
    if options.has_client_host:
        _write_host_list(root, clients)
    return DevnetPlan(
        options=options,
        root=root,
        chain_id=CHAIN_ID,
        supply=coordinator_balance + options.miners * (MINER_BOND + MINER_BALANCE),
        miners=miners,
        coordinator=_create_coordinator(network, server, miners[0].api),
        server=server,
        clients=clients,
        explorer=_explorer_program(miners[0], page) if options.has_explorer else None,
        explorer_listener=page if options.has_explorer else "",
    )


def derive_key(seed: int, name: str) -> KeyPair:
    """Derive a member's key. It is not secret: the seed is enough to derive it.

    Args:
        seed: The devnet's seed.
        name: The member's name, such as `miner-1`.

    Returns:
        An Ed25519 key pair, which depends on the arguments alone.
    """
    return KeyPair.from_seed(sha256(b"fedcoin/devnet", f"{seed}/{name}".encode()))


def _create_miners(
    network: _Network, names: Sequence[str], listeners: Sequence[str]
) -> Iterator[MinerMember]:
    peers, apis = listeners[: len(names)], listeners[len(names) :]
    for index, (name, kind) in enumerate(zip(names, network.options.miner_kinds, strict=True)):
        home = network.write_home(
            name,
            {
                "peers.listen": peers[index],
                # Each miner dials all miners before it.
                "peers.seeds": [
                    f"{network.key(seed).public_key.hex()}@{address}"
                    for seed, address in zip(names[:index], peers, strict=False)
                ],
                "api.listen": apis[index],
                "miner.enabled": True,
                # The miners share the cores of one machine.
                "miner.processes": max(1, count_usable_cpus() // len(names)),
            },
        )
        program = Program(
            name,
            (kind or "start", "--home", str(home.root), "--stop-with-stdin"),
            load_dishonest_miners().module if kind else COMMAND_LINE,
        )
        member = Member(name, home, network.key(name).address, program)
        yield MinerMember(member, apis[index], kind)


def _explorer_program(miner: MinerMember, listener: str) -> Program:
    # The miner's home is named because the user's own may have other settings.
    home = str(miner.member.home.root)
    arguments = ("explorer", "--home", home, "--node", miner.api, "--listen", listener)
    return Program(EXPLORER, (*arguments, "--stop-with-stdin"))


def _create_coordinator(network: _Network, server: str, node: str) -> Member:
    options = network.options
    round_seconds = max(MIN_ROUND_SECONDS, CLIENT_SECONDS * options.clients)
    home = network.write_home(
        "coordinator",
        {
            "coordinator.listen": server,
            "coordinator.dataset": options.dataset,
            "coordinator.rounds": options.rounds,
            "coordinator.clients": options.clients,
            "coordinator.max_clients": max(options.clients, MAX_CLIENTS),
            "coordinator.budget": options.budget,
            "coordinator.seed": options.seed,
            "coordinator.epochs": options.epochs,
            "coordinator.round_seconds": round_seconds,
            "coordinator.receipt_seconds": max(MIN_RECEIPT_SECONDS, 2 * round_seconds),
            "coordinator.evaluation_size": options.evaluation_size,
            "coordinator.utility": options.utility,
            # Clients with wrong labels are there to be seen, and not to be left out.
            "coordinator.max_harm": 1.0,
            "coordinator.commit_seconds": max(MIN_COMMIT_SECONDS, COMMIT_SECONDS * options.clients),
            **dict(options.coordinator_settings),
        },
    )
    arguments = ("train", "server", "--home", str(home.root), "--node", node, "--stop-with-stdin")
    address = network.key("coordinator").address
    return Member("coordinator", home, address, Program("coordinator", arguments))


def _create_clients(
    network: _Network, server: str, dataset: datasets.Dataset
) -> Iterator[ClientMember]:
    options = network.options
    partition = options.partition or LINEAR
    host = _host_program(options, network.root, server) if options.has_client_host else None
    shares = draw_partition(dataset.y_train, options.clients, options.seed, partition)
    for index, role in enumerate(assign_roles(options.clients, options.partition)):
        name, own = f"client-{index + 1}", shares[index]
        share = replace(dataset, x_train=dataset.x_train[own], y_train=dataset.y_train[own])
        share = add_noise(share, options.clients, index, options.seed, partition)
        if role == MISLABELLED:
            share = datasets.mislabel(share, WRONG_LABELS, options.seed)
        home = network.write_home(name, {})
        data = home.root / DATA
        np.savez(data, x_train=share.x_train, y_train=share.y_train)
        program = host or _client_program(name, home, server, data, role)
        member = Member(name, home, network.key(name).address, program)
        yield ClientMember(member, role, len(share.y_train))


def _client_program(name: str, home: Home, server: str, data: Path, role: str) -> Program:
    arguments = ["train", "client", "--home", str(home.root), "--server", server]
    arguments += ["--data", str(data), "--name", name, "--stop-with-stdin"]
    if role == FREE_RIDER:
        arguments.append("--free-ride")
    return Program(name, tuple(arguments))


def _host_program(options: DevnetOptions, root: Path, server: str) -> Program:
    arguments = ["train", "clients", str(_host_list(root)), "--server", server]
    arguments += ["--processes", str(options.training_processes or count_usable_cpus())]
    return Program(HOST, (*arguments, "--stop-with-stdin"))


def _write_host_list(root: Path, clients: Sequence[ClientMember]) -> None:
    hosted = [
        HostedClient(
            client.member.home.root,
            client.member.home.root / DATA,
            client.role == FREE_RIDER,
            client.member.name,
        )
        for client in clients
    ]
    write_hosted_clients(_host_list(root), hosted)


def _host_list(root: Path) -> Path:
    return root / f"{HOST}.json"
