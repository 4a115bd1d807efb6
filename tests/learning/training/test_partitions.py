from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training import datasets
from fedcoin.learning.training.datasets import Dataset
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.partitions import draw_partition, take_share, type_of

DIVISIONS = ("linear", "iid", "quantity:0.8", "dirichlet:0.1", "labels:2", "types:3")
LABELS = np.random.default_rng(0).integers(0, 10, 3000)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load_dataset("digits")


@given(
    st.sampled_from(DIVISIONS), st.integers(3, 40), st.integers(0, 2**64), st.integers(300, 3000)
)
def test_every_example_is_held_once(division: str, clients: int, seed: int, count: int) -> None:
    labels = LABELS[:count] % 4
    shares = draw_partition(labels, clients, seed, parse_partition(division))
    assert len(shares) == clients
    assert all(len(share) for share in shares)
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), np.arange(count))
    again = draw_partition(labels, clients, seed, parse_partition(division))
    for share, same in zip(shares, again, strict=True):
        np.testing.assert_array_equal(share, same)


@given(st.sampled_from(DIVISIONS), st.integers(9, 40), st.integers(2, 3), st.integers(0, 99))
def test_only_copies_hold_the_same_examples(
    division: str, clients: int, copies: int, seed: int
) -> None:
    partition = parse_partition(f"{division}+copies:{copies}")
    shares = draw_partition(LABELS, clients, seed, partition)
    # Copies change nothing but how many clients hold a share.
    different = draw_partition(LABELS, -(-clients // copies), seed, parse_partition(division))
    for client, share in enumerate(shares):
        np.testing.assert_array_equal(share, different[client // copies])


@given(st.sampled_from(DIVISIONS), st.integers(0, 99), st.integers(1, 200))
def test_a_limit_keeps_a_part_of_each_share(division: str, seed: int, size: int) -> None:
    limited = draw_partition(LABELS, 20, seed, parse_partition(f"{division}+size:{size}"))
    whole = draw_partition(LABELS, 20, seed, parse_partition(division))
    for share, unlimited in zip(limited, whole, strict=True):
        np.testing.assert_array_equal(share, unlimited[:size])


def test_another_seed_gives_other_shares() -> None:
    for division in DIVISIONS:
        one, two = (draw_partition(LABELS, 5, seed, parse_partition(division)) for seed in (1, 2))
        assert {*one[0].tolist()} != {*two[0].tolist()}


def test_sizes() -> None:
    def sizes(text: str) -> list[int]:
        return [len(share) for share in draw_partition(LABELS, 10, 5, parse_partition(text))]

    assert sizes("iid") == [300] * 10
    assert sizes("quantity:0") == [300] * 10
    linear = sizes("linear")
    assert linear == sorted(linear)
    assert linear[-1] / linear[0] == pytest.approx(3, abs=0.05)
    # The deviation of the logarithm of 1,000 sizes, within four standard errors.
    many = draw_partition(np.zeros(1_000_000, np.int64), 1000, 5, parse_partition("quantity:0.5"))
    deviation = np.std(np.log([len(share) for share in many]))
    assert deviation == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))


def class_shares(text: str, clients: int, seed: int = 3) -> NDArray[Any]:
    """Return how often each client has each class, (clients, classes), as parts of its share."""
    shares = draw_partition(LABELS, clients, seed, parse_partition(text))
    counts = np.array([np.bincount(LABELS[share], minlength=10) for share in shares])
    parts: NDArray[Any] = counts / counts.sum(axis=1, keepdims=True)
    return parts


def test_dirichlet_goes_from_one_class_to_all() -> None:
    whole = np.bincount(LABELS) / len(LABELS)
    np.testing.assert_allclose(class_shares("dirichlet:1000000", 10), [whole] * 10, atol=0.01)
    even, skewed = (
        np.abs(class_shares(f"dirichlet:{alpha}", 10) - whole).sum(axis=1).mean() / 2
        for alpha in (10, 0.1)
    )
    assert even < 0.2 < 0.6 < skewed


def test_clients_hold_exactly_so_many_classes() -> None:
    for number in (1, 2, 7, 10):
        held = class_shares(f"labels:{number}", 20) > 0
        assert (held.sum(axis=1) == number).all()
        # All classes are in equal demand.
        assert np.ptp(held.sum(axis=0)) <= 1


def test_types_lack_ever_more_classes() -> None:
    parts = class_shares("types:10", 100)
    for client, part in enumerate(parts):
        kind = type_of(client, 100, parse_partition("types:10"))
        assert kind == client // 10
        assert (part > 0).sum() == 10 - kind
        # About equally much of each class that it has: shares have some 30 examples.
        assert part.max() < 2.5 / (10 - kind)
    many = np.tile(LABELS, 20)
    sizes = [len(share) for share in draw_partition(many, 100, 3, parse_partition("types:10"))]
    assert max(sizes) < 1.2 * min(sizes)


def test_types_of_copies() -> None:
    partition = parse_partition("types:2+copies:2")
    assert [type_of(index, 8, partition) for index in range(8)] == [0] * 4 + [1] * 4


def test_an_empty_share_gets_one_example_of_the_largest() -> None:
    shares = draw_partition(LABELS[:60], 50, 1, parse_partition("dirichlet:0.001"))
    assert min(len(share) for share in shares) == 1
    np.testing.assert_array_equal(np.sort(np.concatenate(shares)), np.arange(60))


@pytest.mark.parametrize(
    ("text", "clients", "fault"),
    [
        ("labels:11", 20, "needs 11 classes"),
        ("types:11", 20, "needs 11 classes"),
        ("types:10", 9, "10 types"),
        ("types:10+copies:2", 18, "10 types"),
        ("labels:10", 1000, "would hold class"),
    ],
)
def test_impossible_partitions_are_refused(text: str, clients: int, fault: str) -> None:
    with pytest.raises(RefusalError) as caught:
        draw_partition(LABELS, clients, 0, parse_partition(text))
    assert caught.value.code is LearningCode.BAD_PARTITION
    assert fault in caught.value.message


def test_impossible_shares_are_refused(digits: Dataset) -> None:
    for clients, index in ((0, 0), (5, 5), (5, -1), (1438, 0)):
        with pytest.raises(RefusalError) as caught:
            take_share(digits, clients, index, seed=0)
        assert caught.value.code is LearningCode.BAD_SHARE
    # Copies need fewer different examples.
    copies = parse_partition("iid+copies:2")
    assert len(take_share(digits, 2874, 2873, 0, copies).y_train) == 1


def test_a_share_holds_whole_examples(digits: Dataset) -> None:
    parts = [take_share(digits, 5, index, seed=7) for index in range(5)]
    together = np.concatenate([part.x_train.reshape(len(part.y_train), -1) for part in parts])
    assert sorted(map(bytes, together)) == sorted(map(bytes, digits.x_train.reshape(1437, -1)))
    position = draw_partition(digits.y_train, 5, 7)[2][4]
    np.testing.assert_array_equal(parts[2].x_train[4], digits.x_train[position])
    assert parts[2].y_train[4] == digits.y_train[position]


def test_noise_leaves_the_division_alone(digits: Dataset) -> None:
    noisy = parse_partition("iid+label-noise:0..0.5+feature-noise:0..0.2")
    for index in (0, 2, 4):
        clean = take_share(digits, 5, index, 7, parse_partition("iid"))
        share = take_share(digits, 5, index, 7, noisy)
        wrong = (share.y_train != clean.y_train).mean()
        assert wrong == pytest.approx(index / 8, abs=0.01)
        assert share.x_train.dtype == np.float32
        deviation = float((share.x_train - clean.x_train).std())
        assert deviation == pytest.approx(index / 20 * 16, rel=0.03)


def test_copies_have_noise_of_their_own(digits: Dataset) -> None:
    noisy = parse_partition("copies:2+label-noise:0.5+feature-noise:0.1")
    one, two, again = (take_share(digits, 4, index, 7, noisy) for index in (0, 1, 0))
    assert len(one.y_train) == len(two.y_train)
    assert (one.y_train != two.y_train).any()
    assert (one.x_train != two.x_train).any()
    np.testing.assert_array_equal(one.y_train, again.y_train)
    np.testing.assert_array_equal(one.x_train, again.x_train)
