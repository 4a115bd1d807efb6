from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.array_files import open_arrays
from fedcoin.learning.files.weight_names import NamedWeights, read_named_weights

NORM = ("gamma", "beta", "moving_mean", "moving_variance")
SHAPES = {"dense/kernel": (3, 2), "dense/bias": (2,), **{f"norm/{name}": (2,) for name in NORM}}
RNG = np.random.default_rng(3)
WEIGHTS = {name: RNG.random(shape).astype(np.float32) for name, shape in SHAPES.items()}


def read(path: Path, arrays: dict[str, Any]) -> NamedWeights:
    np.savez(path, **arrays)
    with open_arrays(path) as stored:
        return read_named_weights(stored, SHAPES)


def refusal(path: Path, arrays: dict[str, Any]) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        read(path, arrays)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.npz"


def check(named: NamedWeights) -> None:
    assert list(named.arrays) == list(SHAPES)
    for name, array in named.arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, WEIGHTS[name])


def test_names_in_any_order_with_a_prefix_and_counters(path: Path) -> None:
    turned = dict(reversed(WEIGHTS.items()))
    assert read(path, turned).remarks == ()
    check(read(path, turned))
    for prefix in ("sequential/", "module.", "module._orig_mod."):
        named = read(path, {prefix + name: array for name, array in turned.items()})
        check(named)
        assert prefix in " ".join(named.remarks)
    counted = read(path, {**turned, "norm/num_batches_tracked": np.int64(3)})
    check(counted)
    assert "num_batches_tracked left out" in " ".join(counted.remarks)


def test_positions_only_in_files_without_names(path: Path) -> None:
    np.savez(path, *WEIGHTS.values())
    with open_arrays(path) as stored:
        check(read_named_weights(stored, SHAPES))
    check(read(path, {str(place): array for place, array in enumerate(WEIGHTS.values())}))
    # An adapted `Normalization` of Keras has a counter among its weights.
    np.savez(path, np.int64(7), *WEIGHTS.values())
    with open_arrays(path) as stored:
        named = read_named_weights(stored, SHAPES)
    check(named)
    assert "arr_0 left out, which holds integers" in named.remarks
    # More than ten arrays are in the order of their numbers, not of the alphabet.
    many = {f"w{place}": (1,) for place in range(12)}
    np.savez(path, *[np.array([place], np.float32) for place in range(12)])
    with open_arrays(path) as stored:
        named = read_named_weights(stored, many)
    assert [float(array[0]) for array in named.arrays.values()] == list(range(12))


def test_a_misspelt_name_is_not_matched_by_position(path: Path) -> None:
    renamed = {name.replace("gamma", "gama"): array for name, array in WEIGHTS.items()}
    found = refusal(path, renamed)
    assert found.code is LearningCode.WRONG_NAMES
    assert "rename norm/gama to norm/gamma" in found.message
    for arrays in (
        {name: array for name, array in WEIGHTS.items() if name != "norm/beta"},
        {**WEIGHTS, "norm/other": WEIGHTS["norm/beta"]},
        {f"x{place}": array for place, array in enumerate(WEIGHTS.values())},
        dict(zip(("arr_0", "arr_2", "arr_3", "arr_4", "arr_5", "arr_6"), WEIGHTS.values())),  # noqa: B905
        {f"arr_{place}": array for place, array in enumerate(list(WEIGHTS.values())[:-1])},
    ):
        assert refusal(path, arrays).code is LearningCode.WRONG_NAMES


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_dtypes_become_float32(path: Path, dtype: Any) -> None:
    whole = {name: np.round(array * 8) for name, array in WEIGHTS.items()}
    named = read(path, {name: array.astype(dtype) for name, array in whole.items()})
    for name, array in named.arrays.items():
        np.testing.assert_array_equal(array, whole[name])
    assert "read as float32" in named.remarks[0]


@pytest.mark.parametrize(
    ("name", "array", "code"),
    [
        ("norm/moving_variance", np.array([1, -0.5], np.float32), LearningCode.OUT_OF_RANGE),
        ("norm/gamma", np.array([1, np.nan], np.float32), LearningCode.NOT_FINITE),
        ("norm/gamma", np.array([1e300, 0]), LearningCode.NOT_FINITE),
        ("dense/kernel", np.zeros((3, 2), np.int8), LearningCode.WRONG_DTYPE),
        ("dense/kernel", np.zeros((2, 3), np.float32), LearningCode.WRONG_SHAPE),
    ],
)
def test_faults_name_the_tensor(
    path: Path, name: str, array: np.ndarray[Any, Any], code: LearningCode
) -> None:
    found = refusal(path, {**WEIGHTS, name: array})
    assert found.code is code
    assert name in found.message
    assert path.name in found.message
