"""Train in a round with a program of your own, here with PyTorch.

    fedcoin-node train client --server 127.0.0.1:7052 --command 'python train_torch.py mine.npz'

As `train_numpy.py`, with PyTorch's layers and optimiser. The Python of the command may be another
one than FedCoin's: it needs PyTorch and NumPy, and nothing of FedCoin.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    """Train the built-in model `mlp` from the round's base weights, and write the update."""
    settings = json.loads(Path(os.environ["FEDCOIN_ROUND_SETTINGS"]).read_text())
    model = json.loads(Path(os.environ["FEDCOIN_ROUND_MODEL"]).read_text())
    layers = {layer["class_name"]: layer["config"] for layer in model["config"]["layers"]}
    scale = layers.get("Rescaling", {}).get("scale", 1.0)
    with np.load(os.environ["FEDCOIN_ROUND_BASE"]) as base:
        names = [weight["name"] for weight in settings["weights"]]
        # Keras keeps kernels as (inputs, outputs), PyTorch as (outputs, inputs).
        start = [torch.from_numpy(np.ascontiguousarray(base[name].T)) for name in names]
    kernel, top = start[0], start[2]
    network = torch.nn.Sequential(
        torch.nn.Linear(kernel.shape[1], kernel.shape[0]),
        torch.nn.ReLU(),
        torch.nn.Linear(top.shape[1], top.shape[0]),
    )
    network.load_state_dict(dict(zip(network.state_dict(), start, strict=True)))
    with np.load(sys.argv[1]) as data:
        inputs = data["x_train"].reshape(len(data["x_train"]), -1) * scale
        x = torch.from_numpy(inputs.astype(np.float32))
        y = torch.from_numpy(data["y_train"].astype(np.int64))
    torch.manual_seed(settings["seed"])
    optimiser = torch.optim.SGD(network.parameters(), lr=settings["learning_rate"])
    for epoch in range(1, settings["epochs"] + 1):
        for batch in torch.randperm(len(y)).split(settings["batch_size"]):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x[batch]), y[batch])
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}", flush=True)
    trained = [weight.numpy().T for weight in network.state_dict().values()]
    arrays = dict(zip(names, trained, strict=True))
    np.savez(os.environ["FEDCOIN_ROUND_UPDATE"], num_samples=len(y), **arrays)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
