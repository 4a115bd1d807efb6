from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.application.job import CLASSES, EXAMPLES, PIXELS, linear_spec

CLIENTS = 5


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Clients that know a linear rule ever less well, and a test set of it."""
    rng = np.random.default_rng(1)
    rule = rng.normal(size=(PIXELS, CLASSES)).astype(np.float32)
    x = rng.normal(size=(EXAMPLES, PIXELS)).astype(np.float32)
    (tmp_path / "model.spec").write_bytes(linear_spec().SerializeToString(deterministic=True))
    (tmp_path / "model.json").write_text(linear_spec().keras_json)
    np.savez(tmp_path / "data.npz", x=x, y=(x @ rule).argmax(axis=1))
    zeros = np.zeros((PIXELS, CLASSES), np.float32)
    np.savez(tmp_path / "base.npz", kernel=zeros, bias=zeros[0])
    (tmp_path / "updates").mkdir()
    for client in range(CLIENTS):
        noise = rng.normal(size=rule.shape).astype(np.float32)
        weights = rule + np.float32(client) * noise
        # In the model's order, without its names.
        np.savez(tmp_path / f"updates/client-{client}.npz", weights, zeros[0])
    return tmp_path


def call(fedcoin: Any, files: Path, *more: object, model: str = "model.spec") -> Any:
    return fedcoin(
        "shapley",
        *("--model", files / model, "--base", files / "base.npz"),
        *("--updates", files / "updates", "--data", files / "data.npz"),
        *more,
    )


def test_values_as_json_table_and_plot(fedcoin: Any, files: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = call(fedcoin, files, "--json", "--plot", files / "values.png")
    assert outcome.code == 0, outcome.err
    found = outcome.json
    assert found["method"] == "exact"
    values = [client["value"] for client in found["clients"]]
    assert sum(values) == pytest.approx(found["accuracy"] - found["base_accuracy"])
    assert values[0] == max(values)
    assert (files / "values.png").read_bytes().startswith(b"\x89PNG")
    table = call(fedcoin, files, "--method", "permutation", "--budget", 20)
    assert table.code == 0, table.err
    assert "95 % interval" in table.out
    assert "client-4" in table.out
    assert "permutation, " in table.err


def test_what_is_refused(fedcoin: Any, files: Path) -> None:
    def refused(code: str, *more: object) -> None:
        outcome = call(fedcoin, files, *more)
        assert (outcome.code, f"[{code}]" in outcome.err) == (1, True), outcome.err

    refused("BAD_BUDGET", "--budget", 2, "--method", "permutation")
    refused("BAD_METHOD", "--method", "magic")
    update = files / "updates/client-0.npz"
    kept = update.read_bytes()
    np.savez(update, np.zeros((PIXELS, CLASSES + 1), np.float32), np.zeros(CLASSES, np.float32))
    refused("BAD_ARGUMENT")
    np.savez(update, np.full((PIXELS, CLASSES), np.nan, np.float32), np.zeros(CLASSES, np.float32))
    refused("BAD_ARGUMENT")
    update.write_bytes(b"nonsense")
    refused("BAD_ARGUMENT")
    update.write_bytes(kept)
    x = np.zeros((4, PIXELS), np.float32)
    np.savez(files / "data.npz", x=x, y=np.array([0, 1, 2, CLASSES]))
    refused("LABEL_OUT_OF_RANGE")
    np.savez(files / "data.npz", x=x, y=np.array([0, 1, 2, -1]))
    refused("BAD_ARGUMENT")
    for file in (files / "updates").iterdir():
        file.unlink()
    refused("BAD_ARGUMENT")


@pytest.mark.slow
def test_keras_json(fedcoin: Any, files: Path) -> None:
    named = call(fedcoin, files, "--json", model="model.json")
    assert named.code == 0, named.err
    assert named.json == call(fedcoin, files, "--json").json
