from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.look_alikes import (
    SIMILARITY_TOLERANCE,
    Similarities,
    check_groups,
    group_files,
    group_updates,
    group_weights,
    measure_similarities,
)

BASE = {"a": np.ones((2, 3), np.float32), "b": np.full(2, -1, np.float32)}


def moved(*change: float) -> Weights:
    """Return `BASE`, changed by this vector of up to 8 numbers."""
    vector = np.zeros(8, np.float32)
    vector[: len(change)] = change
    return {"a": BASE["a"] + vector[:6].reshape(2, 3), "b": BASE["b"] + vector[6:]}


def similarities(*pairs: tuple[int, int, float], n: int, rest: float = 0.0) -> Similarities:
    """Return a matrix with these similarities, and `rest` for all other pairs."""
    matrix = np.full((n, n), rest)
    np.fill_diagonal(matrix, 1)
    for i, j, value in pairs:
        matrix[i, j] = matrix[j, i] = value
    return matrix


def test_similarity_is_the_cosine_less_the_difference_of_norms() -> None:
    measured = measure_similarities(BASE, [moved(3, 4), moved(4, 3), moved(6, 8), moved(-3, -4)])
    # Norms 5 and 5: cos = 24/25. Norms 5 and 10: 1 - 5 * 5 / (2 * 5 * 10).
    np.testing.assert_allclose(measured[0], [1, 0.96, 0.75, -1], atol=1e-7)
    # cos 0.96, norms 5 and 10.
    assert measured[1, 2] == pytest.approx(0.96 - 0.25, abs=1e-7)
    np.testing.assert_array_equal(measured, measured.T)


def test_updates_that_changed_nothing_are_like_each_other_only() -> None:
    measured = measure_similarities(BASE, [BASE, moved(1e-6), BASE])
    np.testing.assert_array_equal(measured, similarities((0, 2, 1), n=3, rest=-1))


def test_large_models_are_compared_in_pieces() -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(size=(300, 500)).astype(np.float32)}
    changes = rng.normal(size=(3, 300, 500))
    updates = [{"w": (base["w"] + change).astype(np.float32)} for change in changes]
    flat = np.array([u["w"] - base["w"] for u in updates], np.float64).reshape(3, -1)
    expected = flat @ flat.T
    norms = np.sqrt(np.diag(expected))
    expected -= (norms[:, None] - norms) ** 2 / 2
    expected /= np.outer(norms, norms)
    np.testing.assert_allclose(measure_similarities(base, updates), expected, atol=1e-9)


def test_a_group_is_all_that_are_similar_to_each_other() -> None:
    matrix = similarities((0, 2, 0.97), (1, 3, 0.99), (1, 4, 0.96), (3, 4, 0.95), n=5)
    assert group_updates(matrix, 0.95) == (0, 1, 0, 1, 1)
    assert group_updates(matrix, 0.96) == (0, 1, 0, 1, 4)
    assert group_updates(matrix, 0.98) == (0, 1, 2, 1, 4)
    assert group_updates(matrix, 0.995) == (0, 1, 2, 3, 4)
    assert group_updates(np.ones((1, 1)), 0.5) == (0,)
    assert group_updates(np.ones((4, 4)), 0.9) == (0, 0, 0, 0)


def test_nobody_can_join_two_updates_that_are_not_similar() -> None:
    """The third lies between the first two; single linkage would join all three."""
    matrix = similarities((0, 1, 0.9), (0, 2, 0.97), (1, 2, 0.96), n=3)
    assert group_updates(matrix, 0.95) == (0, 1, 0)
    with pytest.raises(RefusalError) as caught:
        check_groups((0, 0, 0), matrix, 0.95)
    assert caught.value.code is LearningCode.WRONG_GROUPS
    assert caught.value.field == "groups"
    # Which of the two the bridge belongs to is not fixed.
    check_groups((0, 1, 0), matrix, 0.95)
    check_groups((0, 1, 1), matrix, 0.95)


def test_updates_that_are_similar_only_to_each_other_have_one_sound_grouping() -> None:
    matrix = similarities((0, 1, 0.96), (0, 3, 0.99), (1, 3, 0.97), (2, 4, 0.94), n=5, rest=0.8)
    sound = []
    for labels in itertools.product(*(range(k + 1) for k in range(5))):
        if all(labels[label] == label for label in labels):
            try:
                check_groups(labels, matrix, 0.95)
            except RefusalError:
                continue
            sound.append(labels)
    assert sound == [(0, 0, 2, 0, 4)] == [group_updates(matrix, 0.95)]


@pytest.mark.parametrize("seed", range(20))
def test_complete_linkage_is_sound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(12, 3))
    updates = [moved(*vector) for vector in vectors]
    matrix = measure_similarities(BASE, updates)
    for limit in (0.5, 0.8, 0.95):
        groups = group_updates(matrix, limit)
        assert len(set(groups)) < 12 or limit > 0.5
        check_groups(groups, matrix, limit)


@pytest.mark.parametrize("seed", range(5))
def test_exact_copies_leave_the_groups_of_the_others_as_they_are(seed: int) -> None:
    updates = [moved(*vector) for vector in np.random.default_rng(seed).normal(size=(8, 3))]
    copied = [*updates, *[updates[3]] * 2]
    for limit in (0.5, 0.8, 0.95):
        alone = group_updates(measure_similarities(BASE, updates), limit)
        together = group_updates(measure_similarities(BASE, copied), limit)
        assert together == (*alone, alone[3], alone[3])


def test_machines_may_differ_at_the_limit() -> None:
    for offset in (-0.5, 0.5):
        matrix = similarities((0, 1, 0.9 + offset * SIMILARITY_TOLERANCE), n=2)
        check_groups((0, 0), matrix, 0.9)
        check_groups((0, 1), matrix, 0.9)
    for offset, groups in ((-2, (0, 0)), (2, (0, 1))):
        with pytest.raises(RefusalError):
            check_groups(groups, similarities((0, 1, 0.9 + offset * 1e-6), n=2), 0.9)


def test_all_groups_count_the_same() -> None:
    assert group_weights((0, 1, 0, 0, 4)) == (240_240, 720_720, 240_240, 240_240, 720_720)
    # 17 members: the group has the weight of another one up to 17 / 720,720.
    assert 720_720 - 17 < 17 * group_weights((0,) * 17)[0] <= 720_720


def test_groups_of_files(tmp_path: Path) -> None:
    updates = [moved(1, 0), moved(0, 1), moved(1, 0.01)]
    paths = []
    for name, weights in enumerate([BASE, *updates]):
        paths.append(tmp_path / str(name))
        paths[-1].write_bytes(encode_tensors(weights))
    assert group_files(paths[0], paths[1:], 0.95) == (0, 1, 0)
