"""Take part in a campaign with your own arrays, and be paid by the value of your updates.

    fedcoin-node train server --home a --key coordinator --rounds 2      # in another terminal
    python examples/client_with_own_data.py 127.0.0.1:7052 a/genesis.json

The arrays must have the shape of the coordinator's evaluation set; here they are 8 x 8 images of
digits, as the coordinator uses by default. They stay on this machine: only weights are sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np

from fedcoin.application.client.trainer import Trainer
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import format_amount
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.datasets import load_dataset


def write_own_data(path: Path) -> None:
    """Write the training set as an `.npz` file; put your own arrays here.

    Args:
        path: The file, which is created or replaced.
    """
    digits = load_dataset("digits")
    np.savez(path, x_train=digits.x_train[:300], y_train=digits.y_train[:300])


async def take_part(server: str, data: Path, genesis_hash: bytes) -> None:
    """Join a campaign, train in each of its rounds, and show what each round paid.

    Args:
        server: The coordinator as host:port.
        data: An `.npz` file with `x_train` and `y_train`.
        genesis_hash: The SHA-256 of the network's genesis.json, which signatures cover.
    """
    key = KeyPair.generate()  # keep it in a home to own the coins: see `fedcoin-node keys`
    print(f"paid to {format_address(key.address)}")
    trainer = Trainer(server, key, ClientData(str(data)), genesis_hash)
    try:
        for paid in await trainer.run():
            value = paid.shapley_nano / 1e9
            print(f"round {paid.round}: value {value:+.4f}, paid {format_amount(paid.payout)}")
    finally:
        await trainer.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mine.npz")
        write_own_data(file)
        genesis = hashlib.sha256(Path(sys.argv[2]).read_bytes())
        asyncio.run(take_part(sys.argv[1], file, genesis.digest()))
