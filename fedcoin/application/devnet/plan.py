"""Who takes part in a devnet, and the folder that each of them starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.devnet.dishonest_miners import dishonest_miners
from fedcoin.application.devnet.ports import free_ports
from fedcoin.application.devnet.processes import COMMAND_LINE
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.training import datasets
from fedcoin.learning.workers.executors import count_cores

CHAIN_ID = "fedcoin-devnet"

HONEST = "honest"
MISLABELLED = "mislabelled"
FREE_RIDER = "free rider"

WRONG_LABELS = 0.6
"""The share of wrong labels in the mislabelled client's data."""

EPOCHS = 2
"""Few, so that the model still has something to learn in the later rounds."""

MINER_BOND = 1_000 * SAP_PER_FDC
MINER_BALANCE = 1_000 * SAP_PER_FDC
ROUND_FEES = SAP_PER_FDC
"""What a coordinator has for the fees of each round, beside the budget; far more than needed."""

MOST_CLIENTS = 128
MOST_MINERS = 32


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``budget`` is in sap and for all rounds together."""

    miners: int
    clients: int
    rounds: int
    dataset: str
    budget: int
    seed: int
    adversaries: tuple[tuple[str, int], ...] = ()
    """Kinds of dishonest miners, and how many of each; the last miners are dishonest."""

    @property
    def liars(self) -> list[str]:
        """The kind of each lying miner."""
        return [kind for kind, count in self.adversaries for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Member:
    """One process: its name, its home, and its address on the chain."""

    name: str
    home: Home
    address: bytes
    # What follows `python -m MODULE` on the command line.
    arguments: tuple[str, ...]
    module: str = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class MinerMember:
    """A node that mines. ``api`` is host:port; ``adversary`` is empty for an honest one."""

    member: Member
    api: str
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class ClientMember:
    """A client: what it is, and how many examples it has."""

    member: Member
    role: str
    samples: int


@dataclass(frozen=True, slots=True)
class DevnetPlan:
    """A devnet, ready to be started. ``server`` is the coordinator's host:port."""

    options: Options
    root: Path
    chain_id: str
    supply: int
    miners: tuple[MinerMember, ...]
    coordinator: Member
    server: str
    clients: tuple[ClientMember, ...]

    @property
    def roles(self) -> dict[bytes, str]:
        """What each client is, by its address."""
        return {client.member.address: client.role for client in self.clients}

    @property
    def adversaries(self) -> dict[bytes, str]:
        """How each lying miner lies, by its address."""
        return {m.member.address: m.adversary for m in self.miners if m.adversary}

    @property
    def members(self) -> tuple[Member, ...]:
        """All processes."""
        nodes = tuple(miner.member for miner in self.miners)
        return (*nodes, self.coordinator, *(client.member for client in self.clients))


def check(options: Options) -> None:
    """Raises BAD_ARGUMENT for a devnet that cannot be."""
    limits = (
        ("miners", options.miners, 1, MOST_MINERS),
        ("clients", options.clients, 1, MOST_CLIENTS),
        ("rounds", options.rounds, 1, 1_000),
        ("budget", options.budget, options.rounds, 10**16),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            unit = " sap" if name == "budget" else ""
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"--{name} is {value}{unit}, but it must be from {low} to {high}{unit}",
                field=name,
                limit=f"{low} to {high}",
            )
    if len(options.liars) >= options.miners:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"--adversary asks for {len(options.liars)} liars among {options.miners} miners, but"
            " one of them must be honest",
            field="adversary",
            limit=str(options.miners - 1),
        )


def lay_out(options: Options, root: Path) -> DevnetPlan:
    """Makes all homes and data below ``root``, the same for the same seed but for the time.

    Raises :class:`Refusal`: BAD_ARGUMENT, or what loading the data set raises.
    """
    check(options)
    dataset = datasets.load_dataset(options.dataset)
    keys = {name: key_of(options.seed, name) for name in names(options)}
    miners = [f"miner-{i}" for i in range(1, options.miners + 1)]
    reserve = options.budget + ROUND_FEES * (options.rounds + 1)
    genesis = write_genesis(
        CHAIN_ID,
        unix_ms(),
        balances={
            keys["coordinator"].address: reserve,
            **{keys[name].address: MINER_BALANCE for name in miners},
        },
        bonds={keys[name].public_key: MINER_BOND for name in miners},
    )
    listeners = [f"127.0.0.1:{port}" for port in free_ports(2 * len(miners) + 1)]
    server = listeners.pop()
    kinds = [""] * (options.miners - len(options.liars)) + options.liars
    nodes = lay_out_miners(root, genesis, keys, dict(zip(miners, kinds, strict=True)), listeners)
    coordinator = lay_out_coordinator(root, genesis, keys["coordinator"], options, server, nodes)
    clients = lay_out_clients(root, genesis, keys, options, server, dataset)
    supply = reserve + len(miners) * (MINER_BOND + MINER_BALANCE)
    return DevnetPlan(options, root, CHAIN_ID, supply, nodes, coordinator, server, clients)


def names(options: Options) -> list[str]:
    """Of all members."""
    miners = [f"miner-{i}" for i in range(1, options.miners + 1)]
    return [*miners, "coordinator", *(f"client-{i}" for i in range(1, options.clients + 1))]


def key_of(seed: int, name: str) -> KeyPair:
    """A member's key. Anybody can work it out: devnets are for looking at, not for money."""
    return KeyPair.from_seed(sha256(b"fedcoin/devnet", f"{seed}/{name}".encode()))


def lay_out_miners(
    root: Path,
    genesis: bytes,
    keys: dict[str, KeyPair],
    miners: Mapping[str, str],
    listeners: Sequence[str],
) -> tuple[MinerMember, ...]:
    """Their homes, by name and by how they lie; each dials those before it."""
    peers, apis = listeners[: len(miners)], listeners[len(miners) :]
    found_miners = []
    for i, (name, adversary) in enumerate(miners.items()):
        home = Home(root / name)
        home.add_key(NODE_KEY, keys[name])
        settings = {
            "peers.listen": peers[i],
            "peers.seeds": peers[:i],
            "api.listen": apis[i],
            "miner.enabled": True,
            # They share one machine's cores; a process for each core in each would be too many.
            "miner.processes": max(1, count_cores() // len(miners)),
        }
        home.write(genesis, settings)
        command = adversary or "start"
        arguments = (command, "--home", str(home.root), "--stop-with-stdin")
        module = dishonest_miners().module if adversary else COMMAND_LINE
        member = Member(name, home, keys[name].address, arguments, module)
        found_miners.append(MinerMember(member, apis[i], adversary))
    return tuple(found_miners)


def lay_out_coordinator(
    root: Path,
    genesis: bytes,
    key: KeyPair,
    options: Options,
    server: str,
    miners: Sequence[MinerMember],
) -> Member:
    """Its home; it talks to the first miner."""
    home = Home(root / "coordinator")
    home.add_key(NODE_KEY, key)
    settings = {
        "coordinator.listen": server,
        "coordinator.dataset": options.dataset,
        "coordinator.rounds": options.rounds,
        "coordinator.clients": options.clients,
        "coordinator.max_clients": max(options.clients, MOST_CLIENTS),
        "coordinator.budget": options.budget,
        "coordinator.seed": options.seed,
        "coordinator.epochs": EPOCHS,
    }
    home.write(genesis, settings)
    arguments = ("train", "server", "--home", str(home.root), "--node", miners[0].api)
    return Member("coordinator", home, key.address, (*arguments, "--stop-with-stdin"))


def lay_out_clients(
    root: Path,
    genesis: bytes,
    keys: dict[str, KeyPair],
    options: Options,
    server: str,
    dataset: datasets.Dataset,
) -> tuple[ClientMember, ...]:
    """Their homes, each with its own part of the training data."""
    clients = []
    for i, role in enumerate(roles(options.clients)):
        name = f"client-{i + 1}"
        part = datasets.take_share(dataset, options.clients, i, options.seed)
        if role == MISLABELLED:
            part = datasets.mislabel(part, WRONG_LABELS, options.seed)
        home = Home(root / name)
        home.add_key(NODE_KEY, keys[name])
        home.write(genesis, {})
        data = home.root / "data.npz"
        np.savez(data, x_train=part.x_train, y_train=part.y_train)
        arguments = ["train", "client", "--home", str(home.root), "--server", server]
        arguments += ["--data", str(data), "--stop-with-stdin"]
        if role == FREE_RIDER:
            arguments.append("--free-ride")
        member = Member(name, home, keys[name].address, tuple(arguments))
        clients.append(ClientMember(member, role, len(part.y_train)))
    return tuple(clients)


def roles(clients: int) -> list[str]:
    """What each client is: honest, but for one with wrong labels and one that does nothing.

    Shares grow, and the last is honest: neither of the two has the most data.
    """
    found_roles = [HONEST] * clients
    if clients >= 2:
        found_roles[(clients - 1) // 3] = MISLABELLED
    if clients >= 4:
        found_roles[2 * clients // 3] = FREE_RIDER
    return found_roles
