"""Divide the training data of one data set among simulated clients.

Every number is drawn from NumPy's PCG64 by a seed, so that each client can compute its own share by
itself. Skewed divisions follow the usual benchmarks of federated learning (Q. Li, Y. Diao, Q. Chen,
B. He, *Federated Learning on Non-IID Data Silos*, ICDE 2022, section 4), and `types` the experiment
of the FedCoin paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.training.datasets import Dataset, mislabel, partition_bounds
from fedcoin.learning.training.partition_spec import LINEAR, Division, Partition

Indices = npt.NDArray[np.int64]
Proportions = npt.NDArray[np.float64]

_LABEL_STREAM, _FEATURE_STREAM = 1, 2


def take_share(
    dataset: Dataset, num_clients: int, index: int, seed: int, partition: Partition = LINEAR
) -> Dataset:
    """Take one client's share of the training data, with the partition's noise.

    Args:
        dataset: The whole data set.
        num_clients: How many clients there are, from 1.
        index: The index of the client, from 0.
        seed: Seeds the division and the noise; all clients use the same one.
        partition: How to divide the data.

    Returns:
        The data set with the share as its training data.

    Raises:
        RefusalError: BAD_SHARE when there is no such client or there are fewer examples than
            shares; BAD_PARTITION when the data have too few classes or examples for the division.
    """
    shares = draw_partition(dataset.y_train, num_clients, seed, partition)
    if not 0 <= index < num_clients:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"there is no share {index} of {num_clients}; shares are counted from 0",
            field="share",
            limit=str(num_clients - 1),
        )
    own = shares[index]
    share = replace(dataset, x_train=dataset.x_train[own], y_train=dataset.y_train[own])
    return add_noise(share, num_clients, index, seed, partition)


def draw_partition(
    labels: Targets, num_clients: int, seed: int, partition: Partition = LINEAR
) -> tuple[Indices, ...]:
    """Draw which examples each client holds.

    No client is without examples. Clients hold disjoint examples, except where the partition has
    copies: these clients hold the same ones.

    Args:
        labels: The targets of all training examples (m, ...). A division by classes needs labels
            int64 (m,).
        num_clients: How many clients there are, from 1.
        seed: Seeds the draw.
        partition: How to divide the data.

    Returns:
        For each client the positions of its examples, int64 (k,), in random order.

    Raises:
        RefusalError: BAD_SHARE when there are fewer examples than shares; BAD_PARTITION when the
            data has no classes or too few, a class has fewer examples than clients that hold it, or
            there are fewer shares than types.
    """
    num_shares = -(-num_clients // partition.copies)
    if not 1 <= num_shares <= len(labels):
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"{format_count(len(labels), 'example')} cannot be divided among "
            f"{format_count(num_clients, 'client')}; there must be 1 to {len(labels)} different "
            "shares",
            field="share",
            limit=str(len(labels)),
        )
    rng = _generator(seed)
    order = rng.permutation(len(labels))
    if partition.division in (Division.DIRICHLET, Division.LABELS, Division.TYPES):
        shares = _divide_classes(labels, order, num_shares, partition, rng)
    else:
        sizes = _draw_sizes(num_shares, partition, rng)
        bounds = partition_bounds(len(labels), sizes)
        shares = [order[begin:end] for begin, end in pairwise(bounds)]
    if partition.max_examples:
        shares = [share[: partition.max_examples] for share in shares]
    return tuple(shares[client // partition.copies] for client in range(num_clients))


def add_noise(
    share: Dataset, num_clients: int, index: int, seed: int, partition: Partition
) -> Dataset:
    """Add a partition's noise to one client's share.

    The noise of a client depends on nothing but these arguments: copies of a share differ in it.

    Args:
        share: The client's data.
        num_clients: How many clients there are.
        index: The index of the client, from 0.
        seed: Seeds the noise of all clients.
        partition: Says how much noise.

    Returns:
        The data set with changed training data.

    Raises:
        RefusalError: BAD_SHARE when the fraction of wrong labels is not from 0 to 1.
    """
    fraction = partition.label_noise.at(index, num_clients)
    if fraction:
        stream = _noise_seed(seed, index, _LABEL_STREAM)
        share = mislabel(share, fraction, int(stream.generate_state(1, np.uint64)[0]))
    deviation = partition.feature_noise.at(index, num_clients)
    if deviation:
        stream = _noise_seed(seed, index, _FEATURE_STREAM)
        rng = np.random.Generator(np.random.PCG64(stream))
        # A deviation is meant for inputs from 0 to 1 and grows with the range of others.
        scaled = np.float32(deviation * share.inputs.magnitude)
        noise = rng.standard_normal(share.x_train.shape, np.float32) * scaled
        share = replace(share, x_train=share.x_train + noise)
    return share


def type_of(index: int, num_clients: int, partition: Partition) -> int:
    """Return the type of a client in a partition by types.

    Args:
        index: The index of the client, from 0.
        num_clients: How many clients there are.
        partition: A partition of the division `types`.

    Returns:
        The type, from 0, which is also the number of classes that the client lacks.
    """
    num_shares = -(-num_clients // partition.copies)
    return index // partition.copies * int(partition.parameter) // num_shares


def _draw_sizes(num_shares: int, partition: Partition, rng: np.random.Generator) -> Sequence[float]:
    """Return the sizes of shares relative to each other."""
    if partition.division is Division.LINEAR:
        return [1 + 2 * share / max(1, num_shares - 1) for share in range(num_shares)]
    if partition.division is Division.IID:
        return [1.0] * num_shares
    return [float(size) for size in rng.lognormal(0.0, partition.parameter, num_shares)]


def _divide_classes(
    labels: Targets,
    order: Indices,
    num_shares: int,
    partition: Partition,
    rng: np.random.Generator,
) -> list[Indices]:
    """Divide each class by itself, and shuffle the shares."""
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise RefusalError(
            LearningCode.BAD_PARTITION,
            f"the partition {partition} divides by classes, which these data do not have; choose "
            "linear, iid or quantity",
            field="partition",
        )
    classes = np.unique(labels)
    if partition.division is Division.DIRICHLET:
        concentrations = np.full(num_shares, partition.parameter)
        proportions = rng.dirichlet(concentrations, len(classes)).T
    else:
        counts = _class_counts(num_shares, len(classes), partition)
        proportions = _choose_classes(counts, len(classes), rng)
    pieces: list[list[Indices]] = [[] for _ in range(num_shares)]
    for column, label in enumerate(classes):
        pool = order[labels[order] == label]
        if partition.division is Division.DIRICHLET:
            cuts = np.cumsum(proportions[:-1, column]) * len(pool)
            parts = np.split(pool, np.minimum(cuts, len(pool)).astype(np.int64))
        else:
            parts = _divide_among_holders(pool, int(label), proportions[:, column])
        for piece, part in zip(pieces, parts, strict=True):
            piece.append(part)
    shares = [rng.permutation(np.concatenate(piece)) for piece in pieces]
    return _fill_empty_shares(shares)


def _class_counts(num_shares: int, num_classes: int, partition: Partition) -> list[int]:
    """Return how many classes each share has."""
    number = int(partition.parameter)
    if number > num_classes:
        raise RefusalError(
            LearningCode.BAD_PARTITION,
            f"the partition {partition} needs {number} classes, but the training data has "
            f"{num_classes}; lower the number",
            field="partition",
            limit=str(num_classes),
        )
    if partition.division is Division.LABELS:
        return [number] * num_shares
    if number > num_shares:
        raise RefusalError(
            LearningCode.BAD_PARTITION,
            f"the partition {partition} has {number} types, but there are "
            f"{format_count(num_shares, 'share')}; add clients or lower the number",
            field="partition",
            limit=str(num_shares),
        )
    return [num_classes - share * number // num_shares for share in range(num_shares)]


def _choose_classes(
    counts: Sequence[int], num_classes: int, rng: np.random.Generator
) -> Proportions:
    """Choose each share's classes so that all classes are in about equal demand.

    Args:
        counts: How many classes each share has.
        num_classes: How many classes there are.
        rng: Decides among classes in equal demand.

    Returns:
        (shares, classes): what a share wants of a class, relative to the other shares; each share
        wants equally much of each of its classes, and 1 in all.
    """
    demand = np.zeros(num_classes)
    proportions = np.zeros((len(counts), num_classes))
    # A share of few classes wants much of each: these first, so that the others even it out.
    for share in np.argsort(counts, kind="stable"):
        by_demand = np.lexsort((rng.random(num_classes), demand.round(9)))
        chosen = by_demand[: counts[share]]
        proportions[share, chosen] = 1 / counts[share]
        demand[chosen] += 1 / counts[share]
    return proportions


def _divide_among_holders(pool: Indices, label: int, wanted: Proportions) -> list[Indices]:
    """Divide one class among the shares that want some of it; each of them gets an example."""
    holders = np.flatnonzero(wanted)
    if len(holders) > len(pool):
        raise RefusalError(
            LearningCode.BAD_PARTITION,
            f"{format_count(len(holders), 'client')} would hold class {label}, which has "
            f"{format_count(len(pool), 'example')}; use fewer clients or fewer classes for each",
            field="partition",
            limit=str(len(pool)),
        )
    parts = [pool[:0]] * len(wanted)
    if len(holders):
        bounds = partition_bounds(len(pool), [float(part) for part in wanted[holders]])
        for holder, (begin, end) in zip(holders, pairwise(bounds), strict=True):
            parts[holder] = pool[begin:end]
    return parts


def _fill_empty_shares(shares: list[Indices]) -> list[Indices]:
    """Give each empty share one example of the largest share: a client must have one to train."""
    filled = list(shares)
    for empty in (index for index, share in enumerate(shares) if not len(share)):
        largest = max(range(len(filled)), key=lambda index: len(filled[index]))
        filled[empty], filled[largest] = filled[largest][-1:], filled[largest][:-1]
    return filled


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed % (1 << 64)))


def _noise_seed(seed: int, index: int, stream: int) -> np.random.SeedSequence:
    return np.random.SeedSequence((seed % (1 << 64), index, stream))
