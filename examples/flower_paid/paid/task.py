"""The network, and training on a share of the digits that are part of FedCoin."""

from __future__ import annotations

import torch
from torch import nn

from fedcoin.learning.training.datasets import load_dataset


class Scale(nn.Module):
    """Divides pixels by 16, their largest value: miners see what the evaluation set holds."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scale pixels.

        Args:
            pixels: Numbers from 0 to 16.

        Returns:
            Numbers from 0 to 1.
        """
        return pixels / 16


def make_network() -> nn.Module:
    """Make the network.

    Returns:
        A classifier of images (m, 8, 8) into 10 digits.
    """
    return nn.Sequential(nn.Flatten(), Scale(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def load_share(index: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Load one client's share of the digits.

    Args:
        index: The client, from 0.
        count: How many clients there are.

    Returns:
        Images float32 (m, 8, 8) from 0 to 16, and labels int64 (m,) from 0 to 9.
    """
    digits = load_dataset("digits")
    images, labels = digits.x_train[index::count], digits.y_train[index::count]
    return torch.from_numpy(images), torch.from_numpy(labels)


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int = 5) -> float:
    """Train a network in place.

    Args:
        network: The network to train, as `make_network` makes it.
        images: The client's images, float32 (m, 8, 8), from 0 to 16.
        labels: The client's labels, int64 (m,), from 0 to 9.
        epochs: Passes over the images.

    Returns:
        The last batch's loss.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    loss = torch.tensor(0.0)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(32):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
    return loss.item()
