"""Run the study's devnets, and read what they left in their folders."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.devnet.devnet_runner import run_devnet
from fedcoin.application.devnet.plan import DevnetOptions
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.training.partition_spec import Division, Partition
from fedcoin.learning.training.partitions import type_of
from scripts.studies.paper import published

PAPER_RULES: tuple[tuple[str, object], ...] = (
    ("coordinator.averaging", "renormalised"),
    ("coordinator.empty", "zero"),
    ("coordinator.training_reward", "proportional"),
    ("coordinator.reward", "winner"),
)
"""The paper's utility and payments; the defaults are others."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the experiment is."""

    dataset: str
    clients: int
    # The most examples of a client.
    examples: int
    epochs: int
    # Test examples; 0 for all.
    evaluation_size: int
    # The most iterations that the paper's race is run for.
    max_iterations: int


WHOLE = Scale("mnist", 100, 500, 20, 2_000, 400_000)
"""The experiment as it is documented."""

QUICK = Scale("digits", 10, 100, 5, 0, 2_000)
"""An experiment of minutes."""


@dataclass(frozen=True, slots=True)
class Client:
    """What a network's only round was to one client."""

    # The position among all clients, from 0.
    index: int
    role: str
    samples: int
    # The Shapley value as a share of the evaluation set.
    value: float
    # In FDC.
    payout: float
    # The artifact of its update.
    update: Path


@dataclass(frozen=True, slots=True)
class Network:
    """A devnet that has ended, with one round."""

    # The content of `result.json`.
    result: dict[str, Any]
    clients: tuple[Client, ...]
    model: Path
    base: Path
    evaluation: Path
    # How many examples the evaluation set has.
    evaluation_size: int

    @property
    def round(self) -> dict[str, Any]:
        """The results of its only round."""
        only: dict[str, Any] = self.result["rounds"][0]
        return only


def paper_partition(scale: Scale) -> Partition:
    """Describe the paper's division: T0 to T9 draw from 10 - j labels.

    Args:
        scale: How many examples a client has.

    Returns:
        A division by types, with at most `scale.examples` examples for each client.
    """
    types = Division.TYPES
    return Partition(types, published.NUM_TYPES, max_examples=scale.examples)


def paper_options(scale: Scale, seed: int) -> DevnetOptions:
    """Describe the network of figures 4 and 5.

    Args:
        scale: How large it is.
        seed: Seeds keys, data and initial weights.

    Returns:
        The devnet's options.
    """
    return DevnetOptions(
        miners=3,
        clients=scale.clients,
        rounds=1,
        dataset=scale.dataset,
        budget=published.PROTOTYPE_PRICE * SAP_PER_FDC,
        seed=seed,
        epochs=scale.epochs,
        training_processes=2,
        partition=paper_partition(scale),
        evaluation_size=scale.evaluation_size,
        coordinator_settings=PAPER_RULES,
    )


def prototype_options(seed: int) -> DevnetOptions:
    """Describe a network with the prototype's numbers and this project's rules.

    Args:
        seed: Seeds keys, data and initial weights.

    Returns:
        The devnet's options.
    """
    return DevnetOptions(
        miners=published.PROTOTYPE_MINERS,
        clients=published.PROTOTYPE_CLIENTS,
        rounds=1,
        dataset="digits",
        budget=published.PROTOTYPE_PRICE * SAP_PER_FDC,
        seed=seed,
        training_processes=1,
    )


def run_network(options: DevnetOptions, folder: Path) -> Network:
    """Run a devnet, unless the folder holds one that has ended.

    Args:
        options: Who takes part, and the settings of the campaign.
        folder: The devnet's folder, which is created when it is missing.

    Returns:
        The results and artifacts of the devnet.

    Raises:
        RefusalError: BAD_ARGUMENT when the options are out of range; PROCESS_FAILED when a process
            fails; DISAGREEMENT when the nodes end in different states.
    """
    if not (folder / "result.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()

        def report(line: str) -> None:
            print(f"[{time.monotonic() - started:6.1f} s] {line}", file=sys.stderr, flush=True)

        asyncio.run(run_devnet(options, folder, report))
    return read_network(folder)


def read_network(folder: Path) -> Network:
    """Read a devnet's results and the artifacts of its clients.

    Args:
        folder: The folder of a devnet with one round, as `run_devnet` left it.

    Returns:
        The network.
    """
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    campaign = json.loads((folder / "coordinator/coordinator.json").read_text(encoding="utf-8"))
    store = folder / "coordinator/campaign/artifacts"
    clients = []
    for index, client in enumerate(result["rounds"][0]["clients"]):
        (receipt,) = (folder / f"client-{index + 1}" / "receipts").glob("*.json")
        artifact = json.loads(receipt.read_text(encoding="utf-8"))["artifact"]
        clients.append(
            Client(
                index,
                client["role"],
                client["samples"],
                client["shapley_nano"] / 1e9,
                client["payout"] / SAP_PER_FDC,
                store / f"{artifact}.data",
            )
        )
    return Network(
        result,
        tuple(clients),
        store / f"{campaign['model']}.data",
        store / f"{campaign['initial']}.data",
        store / f"{campaign['shards'][0][0]}.data",
        campaign["shards"][0][1],
    )


def clients_by_type(network: Network, partition: Partition) -> list[list[Client]]:
    """Group the clients by their type.

    Args:
        network: A network that divided its data by types.
        partition: How the data are divided among the clients.

    Returns:
        The clients of each type.
    """
    groups: list[list[Client]] = [[] for _ in range(published.NUM_TYPES)]
    for client in network.clients:
        groups[type_of(client.index, len(network.clients), partition)].append(client)
    return groups
