"""The server: a Flower server whose strategy is wrapped, so that each round is paid."""

from __future__ import annotations

from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from fedcoin.data.crypto.key_files import load_key
from fedcoin.integrations.flower import PaidFederation
from fedcoin.integrations.torch import export
from paid.task import make_network

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds that the campaign has left.

    Args:
        grid: Reaches the nodes.
        context: Holds the settings of `pyproject.toml` and `flwr run --run-config`.
    """
    settings = context.run_config
    clients, folder = int(settings["clients"]), Path(str(settings["folder"]))
    network, model = make_network(), folder / "model.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    export(network, torch.zeros(1, 8, 8)).write(model)
    strategy = PaidFederation(
        FedAvg(min_train_nodes=clients, min_available_nodes=clients, fraction_evaluate=0.0),
        node=str(settings["node"]),
        key=load_key(Path(str(settings["key"]))),
        genesis=str(settings["genesis"]),
        campaign={
            "model": str(model),
            "dataset": "digits",
            "rounds": int(settings["rounds"]),
            "budget": str(settings["budget"]),
            "receipt_seconds": int(settings["receipt-seconds"]),
        },
        folder=folder,
    )
    strategy.start(grid=grid, initial_arrays=ArrayRecord(network.state_dict()))
