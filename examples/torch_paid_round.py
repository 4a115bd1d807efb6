"""Train a PyTorch network at four clients, and have the chain value and pay their updates.

    python examples/torch_paid_round.py ./torch-weights
    fedcoin-node task publish ./torch-weights --home a --budget 10fdc --key coordinator --wait

The clients share the digits that are part of the package; the last one has wrong labels. The folder
is what `task publish` takes. It needs PyTorch, and `pip install '.[onnx]'`.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedcoin.application.offline.simulation_folder import (
    BASE,
    EVALUATION,
    KEYS,
    MODEL,
    SimulatedClient,
    SimulationManifest,
    create_folder,
    write_manifest,
)
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.integrations.torch import export, weights
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.learning.training.training_plan import TrainingPlan

CLIENTS, EPOCHS = 4, 4


def build_network() -> Any:
    """Build a small convolutional network.

    Returns:
        A `torch.nn.Module` that takes images of 8 x 8 and gives ten scores.
    """
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.BatchNorm2d(1),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def train(network: Any, x: Any, y: Any) -> Any:
    """Train a copy of a network as any PyTorch program does.

    Args:
        network: The network to start from.
        x: float32 (m, 8, 8), the images.
        y: int64 (m,), their labels.

    Returns:
        The state dict of the trained copy.
    """
    trained = copy.deepcopy(network).train()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.003)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(trained(x[rows]), y[rows]).backward()
            optimizer.step()
    return trained.state_dict()


def main(folder: Path) -> None:
    """Write a folder for `task publish`.

    Args:
        folder: A new folder.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more only wait for each other with so small a network
    digits = load_dataset("digits")
    x, y = digits.x_train.astype(np.float32), digits.y_train.astype(np.int64)
    network = build_network()
    exported = export(network, torch.from_numpy(x[:2]))
    test: dict[str, NDArray[Any]] = {"x": digits.x_test, "y": digits.y_test}
    files = {
        MODEL: exported.spec,
        BASE: encode_tensors(exported.weights),
        EVALUATION: encode_tensors(test),
    }
    create_folder(folder)
    clients = []
    for client, rows in enumerate(np.array_split(np.arange(len(x)), CLIENTS), start=1):
        labels = torch.from_numpy(y[rows])
        if client == CLIENTS:
            labels = labels[torch.randperm(len(labels))]
        state = train(network, torch.from_numpy(x[rows]), labels)
        name, key = f"client-{client}", KeyPair.generate()
        files[f"{name}.weights"] = encode_tensors(weights(state, exported.spec))
        save_key(folder / KEYS / f"{name}.key", key)
        clients.append(
            SimulatedClient(
                address=format_address(key.address),
                role="mislabelled" if client == CLIENTS else "honest",
                num_samples=len(rows),
                weights=f"{name}.weights",
                artifact=compute_artifact_id(files[f"{name}.weights"]).hex(),
                key=f"{KEYS}/{name}.key",
                utility=0,
            )
        )
        print(f"{name} of {len(rows)} examples is paid to {clients[-1].address}")
    for file, content in files.items():
        (folder / file).write_bytes(content)
    ids = {name: compute_artifact_id(files[name]).hex() for name in (MODEL, BASE, EVALUATION)}
    manifest = SimulationManifest(
        dataset="digits",
        model="torch",
        seed=0,
        plan=TrainingPlan(epochs=EPOCHS),
        model_artifact=ids[MODEL],
        base_artifact=ids[BASE],
        evaluation_artifact=ids[EVALUATION],
        evaluation_size=len(test["y"]),
        clients=tuple(clients),
    )
    write_manifest(folder, manifest)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
