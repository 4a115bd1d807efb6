"""A round of a tiny federation in files, as another framework would have left it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedcoin.application.offline.update_folder import UpdateFiles
from fedcoin.data.crypto.key_files import save_key
from fedcoin.learning.files.array_files import write_arrays
from tests.support.keys import key_of
from tests.support.mining_campaign import CLASSES, EXAMPLES, PIXELS, linear_spec

NAMES = ("anna", "ben", "carl")
"""The clients, from the best update to the worst."""

KEYS = {name: key_of(f"{name} of a folder") for name in NAMES}
"""Each client's key."""


def write_update_files(folder: Path) -> UpdateFiles:
    """Write model, base, evaluation set, table, keys, and three updates in two formats."""
    rng = np.random.default_rng(1)
    rule = rng.normal(size=(PIXELS, CLASSES)).astype(np.float32)
    x = rng.normal(size=(EXAMPLES, PIXELS)).astype(np.float32)
    (folder / "model.json").write_text(linear_spec().keras_json)
    (folder / "model").write_bytes(linear_spec().SerializeToString(deterministic=True))
    np.savez(folder / "data.npz", x=x, y=(x @ rule).argmax(axis=1))
    zeros = np.zeros((PIXELS, CLASSES), np.float32)
    np.savez(folder / "base.npz", kernel=zeros, bias=zeros[0])
    (folder / "updates").mkdir()
    lines = ["file,key,num_samples,name"]
    for number, name in enumerate(NAMES):
        noise = rng.normal(size=rule.shape).astype(np.float32)
        weights = {"kernel": rule + np.float32(3 * number) * noise, "bias": zeros[0]}
        file = f"{name}{'.safetensors' if number else '.npz'}"
        write_arrays(folder / "updates" / file, weights)
        save_key(folder / f"{name}.key", KEYS[name])
        lines.append(f"{file},{name}.key,{100 + number},Praxis {name}")
    (folder / "clients.csv").write_text("\n".join(lines) + "\n")
    return UpdateFiles(
        model=folder / "model",
        base=folder / "base.npz",
        updates=folder / "updates",
        data=folder / "data.npz",
        table=folder / "clients.csv",
    )
