"""Value adapters (LoRA) of a PyTorch transformer: clients hand in their adapters alone.

    python examples/torch_adapters.py FOLDER

Needs PyTorch, scikit-learn (for its digits) and `fedcoin[onnx]`. A small transformer reads each
image as eight rows. It is trained on the digits 0 to 4 and then frozen; four clients train adapters
and a new last layer on all ten. One client's labels are wrong, and another one does not train.

FOLDER then holds what `fedcoin-node shapley` reads, and is the input of `task publish` with a
table of the clients. The program prints the command and runs it.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from fedcoin.integrations.torch import export

WIDTH, RANK, CLASSES = 32, 2, 10
TRAINED = "*lora*,head*"


class Adapted(nn.Module):
    """A linear layer with a low-rank product beside it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Create the layer; the adapter begins without effect.

        Args:
            inputs: How many numbers it takes.
            outputs: How many it gives.
        """
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.lora_a = nn.Parameter(torch.randn(inputs, RANK) / inputs**0.5)
        self.lora_b = nn.Parameter(torch.zeros(RANK, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the layer.

        Args:
            x: Numbers (..., inputs).

        Returns:
            Numbers (..., outputs).
        """
        return self.linear(x) + x @ self.lora_a @ self.lora_b


class Block(nn.Module):
    """Attention of one head, and a layer on each row."""

    def __init__(self) -> None:
        """Create the block."""
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (Adapted(WIDTH, WIDTH) for _ in range(3))
        self.inner, self.outer = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block.

        Args:
            x: Numbers (examples, rows, WIDTH).

        Returns:
            Numbers of the same shape.
        """
        y = self.first(x)
        pairs = self.query(y) @ self.key(y).transpose(1, 2) / WIDTH**0.5
        x = x + pairs.softmax(-1) @ self.value(y)
        return x + self.outer(torch.relu(self.inner(self.second(x))))


class Reader(nn.Module):
    """A transformer that reads an image as a sequence of its rows."""

    def __init__(self) -> None:
        """Create the network."""
        super().__init__()
        self.rows = nn.Linear(8, WIDTH)
        self.positions = nn.Parameter(torch.randn(8, WIDTH) / 5)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the logits of each class.

        Args:
            x: Images (examples, 8, 8).

        Returns:
            Logits (examples, CLASSES).
        """
        return self.head(self.blocks(self.rows(x) + self.positions).mean(1))


def train(network: Reader, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Train all parameters that need a gradient.

    Args:
        network: The network, which is changed.
        x: Images (examples, 8, 8).
        y: Their digits (examples,).
        epochs: Passes over the examples.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, 0.005)
    for _ in range(epochs):
        for batch in torch.randperm(len(y)).split(32):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimiser.step()


def is_trained(name: str) -> bool:
    """Tell whether clients train a weight.

    Args:
        name: Its name in the state dict.

    Returns:
        Whether it belongs to an adapter or to the last layer.
    """
    return "lora" in name or name.startswith("head")


def main(folder: Path) -> None:
    """Train, write the files and value the clients.

    Args:
        folder: A new folder.
    """
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy((images / 16).reshape(-1, 8, 8).astype(np.float32))
    y = torch.from_numpy(labels)
    x_test, y_test, x, y = x[:400], y[:400], x[400:], y[400:]
    network = Reader()
    train(network, x[y < 5], y[y < 5], 6)
    for name, weight in network.named_parameters():
        weight.requires_grad = is_trained(name)
    (folder / "clients").mkdir(parents=True)
    export(network, x[:1]).write(folder / "model.onnx")
    torch.save(network.state_dict(), folder / "base.pt")
    np.savez(folder / "test.npz", x=x_test.numpy(), y=y_test.numpy())
    for client, rows in enumerate(torch.randperm(len(y)).chunk(4)):
        update, targets = copy.deepcopy(network), y[rows]
        if client == 2:
            targets = targets[torch.randperm(len(targets))]
        if client != 3:
            train(update, x[rows], targets, 4)
        state = {name: w for name, w in update.state_dict().items() if is_trained(name)}
        torch.save(state, folder / f"clients/client-{client}.pt")
    command = ["shapley", "--model", "model.onnx", "--trained", TRAINED, "--base", "base.pt"]
    command += ["--updates", "clients", "--data", "test.npz"]
    print("fedcoin-node", *command, flush=True)
    # Without the current folder, which `-c` puts first on the import path.
    program = "import sys; del sys.path[0]; from fedcoin.application.cli.entry import main; main()"
    subprocess.run([sys.executable, "-c", program, *command], cwd=folder, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
