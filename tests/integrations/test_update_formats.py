"""Updates that PyTorch and Keras wrote are prepared for a task, each client in another format."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.configuration.home import Home
from fedcoin.application.offline.client_keys import open_client_key
from fedcoin.application.offline.update_folder import UpdateFiles, prepare_publication
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.crypto.key_files import save_key
from fedcoin.v1 import task_pb2
from tests.support.keys import key_of

pytestmark = pytest.mark.slow

FORMATS = ("a.npz", "b.weights.h5", "c.keras", "d.safetensors", "e.h5")


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:__array__")  # Keras' own, on saving
async def test_every_format_of_a_keras_model(tmp_path: Path) -> None:
    import keras

    from fedcoin.learning.files.array_files import write_arrays

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "base.weights.h5")
    updates = tmp_path / "updates"
    updates.mkdir()
    lines, expected = ["file,key"], []
    rng = np.random.default_rng(3)
    for name in FORMATS:
        kernel, bias = (rng.normal(size=s).astype(np.float32) for s in ((4, 3), (3,)))
        model.set_weights([kernel, bias])
        expected.append(kernel)
        if name == "a.npz":
            np.savez(updates / name, kernel, bias)
        elif name == "d.safetensors":
            paths = [variable.path.partition("/")[2] for variable in model.weights]
            write_arrays(updates / name, dict(zip(paths, (kernel, bias), strict=True)))
        elif name.endswith(".weights.h5"):
            model.save_weights(updates / name)
        else:
            model.save(updates / name)
        save_key(tmp_path / f"{name}.key", key_of(name))
        lines.append(f"{name},{name}.key")
    (tmp_path / "clients.csv").write_text("\n".join(lines))
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(20, 4)), y=np.arange(20) % 3)
    await check(tmp_path, "model.json", "base.weights.h5", expected)


@pytest.mark.timeout(300)
async def test_state_dicts_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: make test-integrations")
    from fedcoin.integrations.torch import export

    network = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    export(network, torch.zeros(1, 4)).write(tmp_path / "model.onnx")
    torch.save(network.state_dict(), tmp_path / "base.pt")
    (tmp_path / "updates").mkdir()
    lines, expected = ["file,key"], []
    for name in ("a.pt", "b.bin"):
        with torch.no_grad():
            for tensor in network.parameters():
                tensor.add_(torch.randn(tensor.shape))
        torch.save({"state_dict": network.state_dict()}, tmp_path / "updates" / name)
        expected.append(network[0].weight.detach().numpy().copy())
        save_key(tmp_path / f"{name}.key", key_of(name))
        lines.append(f"{name},{name}.key")
    (tmp_path / "clients.csv").write_text("\n".join(lines))
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(20, 4)), y=np.arange(20) % 3)
    await check(tmp_path, "model.onnx", "base.pt", expected)


async def check(folder: Path, model: str, base: str, expected: list[NDArray[Any]]) -> None:
    """Prepare the files, and compare each client's first tensor with what was trained."""
    files = UpdateFiles(
        folder / model,
        folder / base,
        folder / "updates",
        folder / "data.npz",
        folder / "clients.csv",
    )
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    opener = partial(open_client_key, Home(folder / "home"), folder, None)
    publication = await prepare_publication(
        files, artifacts, opener, utility=task_pb2.UTILITY_ACCURACY
    )
    held = [decode_tensors(client.weights.read_bytes()) for client in publication.clients]
    assert len(held) == len(expected)
    for tensors, kernel in zip(held, expected, strict=True):
        assert any(np.array_equal(tensor, kernel) for tensor in tensors.values())
