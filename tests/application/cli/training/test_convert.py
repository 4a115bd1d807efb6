from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.learning.files.array_files import open_arrays, write_arrays
from tests.support.mining_campaign import CLASSES, PIXELS, linear_spec

pytestmark = pytest.mark.usefixtures("inline_workers")


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with open_arrays(path) as stored:
        return stored.load(list(stored.arrays))


def test_weights_keep_their_names_and_numbers(fedcoin: Any, tmp_path: Path) -> None:
    arrays = {"a/kernel": np.arange(6, dtype=np.float16).reshape(2, 3).T, "n": np.array(3)}
    write_arrays(tmp_path / "a.npz", arrays)
    outcome = fedcoin("convert", tmp_path / "a.npz", tmp_path / "b.safetensors", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["kind"] == "npz"
    assert outcome.json["arrays"][0] == {
        "name": "a/kernel", "source": "a/kernel", "shape": [3, 2], "dtype": "float16",
        "low": 0.0, "high": 5.0,
    }  # fmt: skip
    for name, array in read(tmp_path / "b.safetensors").items():
        np.testing.assert_array_equal(array, arrays[name])
    table = fedcoin("convert", tmp_path / "b.safetensors", tmp_path / "c.npz")
    assert "a/kernel" in table.out
    assert "0 to 5" in table.out


def test_weights_of_a_model_get_its_names(fedcoin: Any, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(linear_spec().SerializeToString(deterministic=True))
    kernel = np.ones((PIXELS, CLASSES))
    np.savez(tmp_path / "a.npz", kernel, kernel[0], num_samples=7)
    refused = fedcoin("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--model", tmp_path / "no")
    assert "[NO_FILE]" in refused.err
    command = ("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--model", tmp_path / "model")
    outcome = fedcoin(*command)
    assert outcome.code == 0, outcome.err
    assert "matched by position" in outcome.err
    assert "float64 read as float32" in outcome.err
    assert {name: array.dtype.name for name, array in read(tmp_path / "b.npz").items()} == {
        "kernel": "float32", "bias": "float32", "num_samples": "int64",
    }  # fmt: skip
    assert fedcoin(*command, "--first-label", 1).code == 2
    assert fedcoin(*command, "--num-samples", 9).code == 0
    assert read(tmp_path / "b.npz")["num_samples"] == 9
    assert fedcoin(*command[:3], "--num-samples", 9).code == 2


def test_data_get_the_names_of_data_sets(fedcoin: Any, tmp_path: Path) -> None:
    images = np.arange(32, dtype=np.uint8).reshape(4, 4, 2)
    np.savez(
        tmp_path / "a.npz",
        allow_pickle=False,
        **{
            f"{part}_{kind}": array
            for part in ("train", "val", "test")
            for kind, array in (("images", images), ("labels", np.array([[1], [2], [3], [1]])))
        },
    )
    outcome = fedcoin("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--first-label", 1)
    assert outcome.code == 0, outcome.err
    assert "labels lowered by 1" in outcome.err
    written = read(tmp_path / "b.npz")
    assert set(written) == {f"{x}_{part}" for x in "xy" for part in ("train", "val", "test")}
    np.testing.assert_array_equal(written["x_train"], images)
    assert written["y_test"].tolist() == [0, 1, 2, 0]


def test_tables_with_text_as_labels(fedcoin: Any, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text("age,outcome,dose\n30,dead,1.5\n40,alive,2\n")
    command = ("convert", path, tmp_path / "b.npz", "--label", "outcome")
    assert "'alive', 'dead'" in fedcoin(*command).err
    assert "has no column outcom; its columns are age" in fedcoin(*command[:-1], "outcom").err
    assert "dead" in fedcoin(*command, "--classes", "alive,gone").err
    outcome = fedcoin(*command, "--classes", "alive, dead")
    assert outcome.code == 0, outcome.err
    assert "alive = 0, dead = 1" in outcome.err
    written = read(tmp_path / "b.npz")
    assert written["x"].tolist() == [[30, 1.5], [40, 2]]
    assert written["y"].tolist() == [1, 0]


@pytest.mark.parametrize("target", ["b.csv", "b"])
def test_other_formats_are_not_written(fedcoin: Any, tmp_path: Path, target: str) -> None:
    np.savez(tmp_path / "a.npz", w=np.zeros(3))
    outcome = fedcoin("convert", tmp_path / "a.npz", tmp_path / target)
    assert (outcome.code, "[BAD_FORMAT]" in outcome.err) == (1, True)
    outcome = fedcoin("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--first-label", 1)
    assert (outcome.code, "[BAD_FORMAT]" in outcome.err) == (1, True)
    outcome = fedcoin("convert", tmp_path / "a.npz", tmp_path / "a.npz")
    assert (outcome.code, "[BAD_FORMAT]" in outcome.err) == (1, True)
    assert not (tmp_path / "b.npz").exists()
