from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training import datasets, input_range


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def arrays(count: int = 6) -> dict[str, NDArray[Any]]:
    x = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)
    y = np.arange(count) % 3
    return {"x_train": x, "y_train": y, "x_test": x[:3], "y_test": y[:3]}


def test_the_digits_ship_with_the_package() -> None:
    digits = datasets.load_dataset("digits")
    assert digits.x_train.shape == (1437, 8, 8)
    assert digits.x_test.shape == (360, 8, 8)
    assert digits.x_train.dtype == np.float32
    assert digits.x_train.min() == 0.0
    assert digits.x_train.max() == 16.0
    assert digits.inputs.describe() == "inputs 0 to 16 (uint8), not scaled"
    assert digits.input_shape == (8, 8)
    assert digits.num_classes == 10
    # Training and test parts have each digit in proportion.
    train, test = (np.bincount(y) for y in (digits.y_train, digits.y_test))
    assert (abs(test / 360 - train / 1437) < 0.003).all()


def test_an_npz_of_ones_own(tmp_path: Path) -> None:
    loaded = datasets.load_dataset(save(tmp_path / "own.npz", **arrays()))
    np.testing.assert_array_equal(loaded.x_train[0].ravel(), np.arange(4))
    assert loaded.y_train.dtype == np.int64
    floats = {
        **arrays(),
        "x_train": arrays()["x_train"] * 1.5,
        "y_test": arrays()["y_test"][:, None],
    }
    own = datasets.load_dataset(save(tmp_path / "floats.npz", **floats))
    assert own.x_train[0, 1, 1] == 4.5


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8"])
def test_the_same_numbers_are_the_same_data_in_every_dtype(tmp_path: Path, dtype: str) -> None:
    def converted(**more: Any) -> str:
        changed = {name: array.astype(dtype) for name, array in arrays().items() if name[0] == "x"}
        return save(tmp_path / "own.npz", **{**arrays(), **changed, **more})

    plain = datasets.load_dataset(converted())
    np.testing.assert_array_equal(plain.x_train, arrays()["x_train"])
    assert plain.inputs.describe() == f"inputs 0 to 23 ({np.dtype(dtype)}), not scaled"
    assert plain.inputs.model_divisor == 23
    by_file = datasets.load_dataset(converted(scale=np.uint8(16)))
    assert by_file.x_train[0, 1, 1] == 3 / 16
    assert by_file.inputs.describe() == f"inputs 0 to 23 ({np.dtype(dtype)}), divided by 16"
    by_option = datasets.load_dataset(converted(scale=np.uint8(16)), scale=32)
    assert by_option.x_train[0, 1, 1] == 3 / 32
    assert by_option.inputs.model_divisor == 1


@pytest.mark.parametrize(
    ("x", "divisor"),
    [
        (np.array([[0.0, 1.0]]), 1.0),
        (np.array([[-3.0, 4.0]]), 1.0),
        (np.array([[0.0, 2.5]]), 1.0),
        (np.array([[0.0, 255.0]]), 255.0),
        (np.array([[0, 255]], np.uint8), 255.0),
    ],
)
def test_built_in_models_divide_whole_numbers_from_0(x: NDArray[Any], divisor: float) -> None:
    assert input_range.measure_inputs([x, x[:0]]).model_divisor == divisor


@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf])
def test_a_scale_is_above_0(scale: float) -> None:
    with pytest.raises(RefusalError) as caught:
        datasets.load_dataset("digits", scale=scale)
    assert caught.value.code is LearningCode.BAD_DATASET


def test_a_client_needs_no_test_arrays(tmp_path: Path) -> None:
    part = {name: array for name, array in arrays().items() if "train" in name}
    path = save(tmp_path / "client.npz", **part)
    assert len(datasets.load_dataset(path, need_test=False).y_train) == 6
    with pytest.raises(RefusalError) as caught:
        datasets.load_dataset(path)
    assert caught.value.code is LearningCode.BAD_DATASET
    assert "x_test" in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"x_train": np.zeros((6, 2, 2), dtype="U3")},
        {"x_train": np.zeros(6)},
        {"x_train": np.full((6, 2, 2), np.nan)},
        {"x_train": np.full((6, 2, 2), 1e300)},
        {"x_train": np.zeros((5, 2, 2))},
        {"x_test": np.zeros((3, 2, 3))},
        {"y_train": np.full(6, 0.5)},
        {"y_train": np.zeros((6, 3), int)},
        {"y_train": np.full(6, -1)},
        {"y_test": np.full(3, 100_000)},
        {"x_train": np.zeros((0, 2, 2)), "y_train": np.zeros(0, int)},
        {"x_test": np.zeros((0, 2, 2)), "y_test": np.zeros(0, int)},
        {"scale": np.float32(0)},
        {"scale": np.array([16])},
        {"scale": np.array("16")},
        {"x_train": np.array([{}] * 6)},
    ],
)
def test_bad_files_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save(tmp_path / "bad.npz", **{**arrays(), **change})
    with pytest.raises(RefusalError) as caught:
        datasets.load_dataset(path)
    assert caught.value.code is LearningCode.BAD_DATASET


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    for name, content in (("text.npz", b"hello"), ("cut.npz", b"PK\x03\x04 half"), ("no.npz", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(RefusalError) as caught:
            datasets.load_dataset(str(path))
        assert caught.value.code is LearningCode.BAD_DATASET


def test_files_that_are_not_divided(tmp_path: Path) -> None:
    """A client's data, or an evaluation set: x and y alone, or a table."""
    whole = arrays()
    plain = save(tmp_path / "plain.npz", x=whole["x_train"].reshape(6, 4), y=whole["y_train"])
    table = tmp_path / "table.csv"
    rows = [
        ",".join(map(str, [*row, label]))
        for row, label in zip(whole["x_train"].reshape(6, 4), whole["y_train"], strict=True)
    ]
    table.write_text("\n".join(["a,b,c,d,label", *rows]))
    for path in (plain, str(table)):
        own = datasets.load_dataset(path, need_test=False)
        np.testing.assert_array_equal(own.x_train, whole["x_train"].reshape(6, 4))
        np.testing.assert_array_equal(own.y_train, whole["y_train"])
        cut = datasets.load_evaluation_set(path, num_shards=2)
        assert (cut.sizes, cut.num_classes, cut.input_shape) == ((3, 3), 3, (4,))
        with pytest.raises(RefusalError) as caught:
            datasets.load_dataset(path)
        assert caught.value.code is LearningCode.BAD_DATASET
    test_only = {name: array for name, array in whole.items() if "test" in name}
    assert datasets.load_evaluation_set(save(tmp_path / "t.npz", **test_only)).sizes == (3,)


def test_medmnist_says_what_it_leaves_out(tmp_path: Path) -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    labels = np.array([[1], [0], [2], [1]], np.uint8)
    parts = {"train": 4, "val": 2, "test": 3}
    named = {f"{part}_images": images[:size] for part, size in parts.items()}
    named |= {f"{part}_labels": labels[:size] for part, size in parts.items()}
    loaded = datasets.load_dataset(save(tmp_path / "medmnist.npz", **named))
    assert (len(loaded.y_train), len(loaded.y_test)) == (4, 3)
    assert loaded.inputs.describe().endswith("val_images and val_labels not used")
    assert loaded.y_train.tolist() == [1, 0, 2, 1]


def test_unknown_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(datasets.MNIST_VARIABLE, raising=False)
    for name in ("cifar", "mnist", str(tmp_path / "missing.npz")):
        with pytest.raises(RefusalError) as caught:
            datasets.load_dataset(name)
        assert caught.value.code is LearningCode.UNKNOWN_DATASET
    path = save(tmp_path / "mnist.npz", **arrays())
    monkeypatch.setenv(datasets.MNIST_VARIABLE, path)
    assert datasets.load_dataset("mnist").num_classes == 3


def test_impossible_shards_are_refused() -> None:
    for size, shards in ((0, 0), (0, 361), (10, 11), (361, 1), (-1, 1)):
        with pytest.raises(RefusalError) as caught:
            datasets.load_evaluation_set("digits", size, shards)
        assert caught.value.code is LearningCode.BAD_SHARE


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(0, 1000))
def test_no_part_is_empty(parts: list[float], extra: int) -> None:
    ends = datasets.partition_bounds(len(parts) + extra, parts)
    assert ends[0] == 0
    assert ends[-1] == len(parts) + extra
    assert all(end > begin for begin, end in itertools.pairwise(ends))


def test_noise_is_wrong_everywhere_it_is() -> None:
    digits = datasets.load_dataset("digits")
    noisy = datasets.mislabel(digits, 0.6, seed=3)
    changed = (noisy.y_train != digits.y_train).mean()
    assert changed == pytest.approx(0.6, abs=0.001)
    assert noisy.y_train.max() == 9
    np.testing.assert_array_equal(datasets.mislabel(digits, 0, 3).y_train, digits.y_train)
    with pytest.raises(RefusalError) as caught:
        datasets.mislabel(digits, 1.5, 3)
    assert caught.value.code is LearningCode.BAD_SHARE


def test_shards_are_artifacts_of_the_test_set() -> None:
    digits = datasets.load_dataset("digits")
    cut = datasets.load_evaluation_set("digits", num_shards=3)
    assert (cut.input_shape, cut.num_classes, cut.sizes) == ((8, 8), 10, (120, 120, 120))
    shards = [decode_tensors(raw) for raw in cut.shards]
    np.testing.assert_array_equal(np.concatenate([s["x"] for s in shards]), digits.x_test)
    np.testing.assert_array_equal(np.concatenate([s["y"] for s in shards]), digits.y_test)
    assert shards[0]["x"].dtype == np.float32
    assert shards[0]["y"].dtype == np.uint8
    few = datasets.load_evaluation_set("digits", size=100)
    assert few.sizes == (100,)
    np.testing.assert_array_equal(decode_tensors(few.shards[0])["x"], digits.x_test[:100])
