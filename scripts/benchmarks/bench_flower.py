"""Measure what a paid round costs, without the valuation itself, next to bare Flower's round.

Both strategies run in one Flower simulation (Ray, two actors), one round each in turn, the paid
rounds of one campaign: a PyTorch network on shares of the digits, with FedAvg alone and with FedAvg
in a `PaidFederation` whose node runs beside it. A round is timed from its messages to its new
model; from a paid round the settlement is taken off, in which the miner works. Prints medians and
ranges, and exits with 1 when the median paid round takes over 10 % more than the median bare one.
Needs flwr[simulation] and torch.

    build/integrations/venv/bin/python -m scripts.benchmarks.bench_flower
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.simulation import run_simulation
from torch import nn

from fedcoin.application.configuration.home import Home
from fedcoin.application.devnet.free_ports import find_free_ports
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.integrations.flower import PaidFederation, SigningMod
from fedcoin.integrations.torch import export
from fedcoin.learning.training.datasets import load_dataset

LIMIT_PERCENT = 10.0
"""By how many percent a paid round may take longer than one of plain Flower."""

CLIENTS = 4
"""The number of Flower's clients."""

COMMAND = [sys.executable, "-m", "fedcoin.application.cli"]
"""Runs the command line."""


def make_network(width: int) -> nn.Module:
    """Make a classifier of the digits.

    Args:
        width: The width of both hidden layers.

    Returns:
        A network from 64 inputs to 10 logits, with random weights.
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def client_key(context: Context) -> KeyPair:
    """Make the key of a virtual client.

    Args:
        context: The client app's context.

    Returns:
        A key that depends on the client's partition alone.
    """
    return KeyPair.from_seed(bytes([1 + int(context.node_config["partition-id"])]) * 32)


def make_client_app(width: int, epochs: int, mods: list[Any]) -> ClientApp:
    """Make the clients' app.

    Args:
        width: The width of the network.
        epochs: Passes over each client's share in a round.
        mods: The mods of training.

    Returns:
        The app.
    """
    app = ClientApp()

    def train(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        network = make_network(width)
        network.load_state_dict(message.content["arrays"].to_torch_state_dict())
        digits, index = load_dataset("digits"), int(context.node_config["partition-id"])
        images = torch.from_numpy(digits.x_train[index::CLIENTS])
        labels = torch.from_numpy(digits.y_train[index::CLIENTS])
        optimizer = torch.optim.SGD(network.parameters(), lr=0.001)
        for _ in range(epochs):
            for batch in torch.randperm(len(labels)).split(32):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
                optimizer.step()
        content = {
            "arrays": ArrayRecord(network.state_dict()),
            "metrics": MetricRecord({"num-examples": len(labels)}),
        }
        return Message(RecordDict(content), reply_to=message)

    app.train(mods=mods)(train)
    return app


@contextlib.contextmanager
def running_node(folder: Path) -> Iterator[str]:
    """Run a network of one miner.

    Args:
        folder: Where its home and its log go.

    Yields:
        `host:port` of its API.

    Raises:
        RuntimeError: The node does not serve within two minutes.
    """
    home = str(folder / "a")
    peers, api = (f"127.0.0.1:{port}" for port in find_free_ports(2))
    addresses = ["--peers-listen", peers, "--api-listen", api]
    subprocess.run(
        [*COMMAND, "init", "--home", home, "--fund", "coordinator=500fdc", *addresses],
        check=True,
        capture_output=True,
    )
    with (folder / "node.log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "start", "--home", home, "--mine"], stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 120
            while b"serving: peers on" not in (folder / "node.log").read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "node.log").read_text())
                time.sleep(0.2)
            yield api
        finally:
            process.terminate()
            process.wait()


def time_round(strategy: Strategy, grid: Grid, arrays: ArrayRecord) -> float:
    """Run and time one round.

    Args:
        strategy: The strategy whose round is timed.
        grid: Reaches the nodes.
        arrays: The model that the round starts from.

    Returns:
        Seconds from the round's messages to its new model.
    """
    marks: list[float] = []

    def mark(number: int, arrays: ArrayRecord) -> None:
        marks.append(time.perf_counter())

    strategy.start(grid=grid, initial_arrays=arrays, num_rounds=1, evaluate_fn=mark)
    return marks[1] - marks[0]


def time_in_turn(
    paid: PaidFederation, bare: Strategy, grid: Grid, arrays: ArrayRecord, rounds: int
) -> list[tuple[float, float, float]]:
    """Run the rounds of a campaign, and a bare round before each.

    Args:
        paid: Runs the campaign.
        bare: Runs the bare rounds.
        grid: Reaches the nodes.
        arrays: The model that both start from.
        rounds: How many rounds to run of each kind.

    Returns:
        For each round the seconds of the bare one, of the paid one without its settlement, and of
        the settlement.
    """
    begins, ends, bare_seconds = [], [], []

    def run_bare(number: int, trained: ArrayRecord) -> None:
        ends.append(time.perf_counter())
        if number < rounds:
            bare_seconds.append(time_round(bare, grid, arrays))
        begins.append(time.perf_counter())

    result = paid.start(grid=grid, initial_arrays=arrays, num_rounds=rounds, evaluate_fn=run_bare)
    timed = []
    for number in range(1, rounds + 1):
        settlement = float(result.train_metrics_clientapp[number]["settlement-seconds"])
        seconds = ends[number] - begins[number - 1] - settlement
        timed.append((bare_seconds[number - 1], seconds, settlement))
    return timed


def make_server_app(options: argparse.Namespace, api: str, folder: Path) -> ServerApp:
    """Make the server's app, which writes its measurements to `rounds.json`.

    Args:
        options: The command line.
        api: The `host:port` of the node's API.
        folder: Holds the node's home.

    Returns:
        The app.
    """
    app = ServerApp()
    home = Home(folder / "a")

    def main(grid: Grid, context: Context) -> None:
        network = make_network(options.width)
        export(network, torch.zeros(1, 8, 8)).write(folder / "model.onnx")
        paid = PaidFederation(
            FedAvg(fraction_evaluate=0.0),
            node=api,
            key=home.key("coordinator"),
            genesis=str(home.genesis_path),
            campaign={
                "model": str(folder / "model.onnx"),
                "dataset": "digits",
                "rounds": options.rounds + 1,
                "budget": "100fdc",
            },
            folder=folder / "campaign",
        )
        bare = FedAvg(fraction_evaluate=0.0)
        arrays = ArrayRecord(network.state_dict())
        rounds = time_in_turn(paid, bare, grid, arrays, options.rounds + 1)
        # The first pair starts the actors and the worker, and opens the campaign.
        (folder / "rounds.json").write_text(json.dumps(rounds[1:]))

    app.main()(main)
    return app


def main() -> int:
    """Run the benchmark.

    Returns:
        The exit code: 1 when the limit is missed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="timed rounds of each kind [12]")
    parser.add_argument("--width", type=int, default=1024, help="width of the hidden layers [1024]")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of each client [20]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_node(Path(name)) as api:
        folder = Path(name)
        genesis_hash = Home(folder / "a").genesis().hash
        run_simulation(
            make_server_app(options, api, folder),
            make_client_app(options.width, options.epochs, [SigningMod(client_key, genesis_hash)]),
            num_supernodes=CLIENTS,
            backend_config={
                "init_args": {"num_cpus": 2, "include_dashboard": False},
                "client_resources": {"num_cpus": 1.0, "num_gpus": 0.0},
            },
        )
        rounds = json.loads((folder / "rounds.json").read_text())
    columns = list(zip(*rounds, strict=True))
    bare, paid, settlement = map(median, columns)
    ranges = [f"{min(column):.3f} to {max(column):.3f} s" for column in columns]
    numbers = sum(tensor.numel() for tensor in make_network(options.width).parameters())
    overhead = 100 * (paid - bare) / bare
    print(f"{CLIENTS} clients, {numbers:,} parameters, {len(rounds)} rounds of each kind")
    print(f"bare Flower         {bare:8.3f} s ({ranges[0]})")
    print(f"paid, settlement off{paid:8.3f} s ({ranges[1]})")
    print(f"settlement          {settlement:8.3f} s ({ranges[2]})")
    print(f"paid, settlement off, takes {overhead:+.1f} % (limit {LIMIT_PERCENT:g} %)")
    return int(overhead > LIMIT_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
