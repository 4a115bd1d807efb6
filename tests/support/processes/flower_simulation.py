"""Run a paid Flower federation in Flower's simulation, with Ray. Arguments: one JSON object."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, Context
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.integrations.flower import PaidFederation, SigningMod, keep_receipts
from fedcoin.integrations.torch import export


def key_of_partition(context: Context) -> KeyPair:
    return KeyPair.from_seed(bytes([1 + int(context.node_config["partition-id"])]) * 32)


def make_client_app(genesis_hash: bytes, homes: Path) -> ClientApp:
    """Make the example's app, with keys and homes by partition."""
    from paid.client_app import train_round

    def home_of_partition(context: Context) -> Path:
        return homes / f"client-{context.node_config['partition-id']}"

    app = ClientApp()
    app.train(mods=[SigningMod(key_of_partition, genesis_hash, home_of_partition)])(train_round)
    keep_receipts(app, home_of_partition, genesis_hash)
    return app


def make_server_app(settings: dict[str, Any]) -> ServerApp:
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        from paid.task import make_network

        network = make_network()
        export(network, torch.zeros(1, 8, 8)).write(settings["campaign"]["model"])
        strategy = PaidFederation(
            FedAvg(fraction_evaluate=0.0),
            node=settings["node"],
            key=load_key(Path(settings["key"])),
            genesis=settings["genesis"],
            campaign=settings["campaign"],
            folder=settings["folder"],
        )
        result = strategy.start(grid=grid, initial_arrays=ArrayRecord(network.state_dict()))
        found = {number: dict(m) for number, m in result.train_metrics_clientapp.items()}
        Path(settings["result"]).write_text(json.dumps(found))

    app.main()(main)
    return app


def main() -> None:
    settings = json.loads(sys.argv[1])
    run_simulation(
        make_server_app(settings),
        make_client_app(bytes.fromhex(settings["genesis"]), Path(settings["homes"])),
        num_supernodes=settings["clients"],
        # Two actors, whatever the machine has.
        backend_config={
            "init_args": {"num_cpus": 2, "include_dashboard": False},
            "client_resources": {"num_cpus": 1.0, "num_gpus": 0.0},
        },
    )


if __name__ == "__main__":
    main()
