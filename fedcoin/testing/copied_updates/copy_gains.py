"""Measure what copies of an update earn under several rules of payment, and what the rules cost.

Payments are positive values at one price for a unit, as under UNIT_PRICE, on `trained_rounds`. The
owner is in each round the client whose update is worth most. The rules:

* `none`: the Shapley values of all updates in the equal average.
* `limit L`: look-alikes with the similarity limit L are one player, as `look_alikes` groups them,
  and share its Shapley value equally.
* `discount`: Shapley values times exp(-ln 2 * the sum of the positive similarities to all others)
  (Agarwal, Dahleh, Sarkar, *A Marketplace for Data*, arXiv:1805.08125, section 4).
* `banzhaf`: Banzhaf values, one of the semivalues that Han et al. study for replication
  (*Replication-Robust Payoff-Allocation for Machine Learning Data Markets*, arXiv:2006.14583).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedcoin.learning.model.look_alikes import group_updates, measure_similarities
from fedcoin.testing.copied_updates.grouped_payments import (
    Floats,
    compute_shapley_values,
    pay_groups,
)
from fedcoin.testing.copied_updates.trained_rounds import TrainedFederation, TrainedRound
from fedcoin.testing.measurements.evaluated_network import Weights

LIMITS = (0.95, 0.9)
"""The similarity limits that copies are measured with."""

RULES = ("none", *(f"limit {limit}" for limit in LIMITS), "discount", "banzhaf")
"""The ways to pay that are compared, by name."""

ROUNDS = 2
"""The number of rounds that each federation trains."""

GAIN = 0.01
"""A round counts as a gain when owner and copies get more than the owner's pay by this fraction of
it."""


@dataclass(frozen=True, slots=True)
class CopyOutcome:
    """What one owner gets with copies, as a multiple of what it gets without."""

    # The data set's name, and how it is divided (a key of `trained_rounds.PARTITIONS`).
    dataset: str
    partition: str
    # The number of clients without the copies, and the number of copies.
    clients: int
    copies: int
    # The Euclidean norm of the noise in each copy, relative to that of the owner's change.
    noise: float
    # By how much a copy's change is multiplied.
    scale: float
    # The least similarity of a pair of owner and copies.
    similarity: float
    # By rule: the pay of owner and copies together, and that of the owner's address alone.
    together: Mapping[str, float]
    owner: Mapping[str, float]
    # In how many rounds owner and copies together gain more than `GAIN`.
    gains: Mapping[str, int]
    # The number of rounds that were measured.
    rounds: int


def measure_copies(
    dataset: str,
    partition: str,
    clients: int,
    copies: Sequence[int],
    noises: Sequence[float],
    seeds: int,
    scale: float = 1.0,
) -> list[CopyOutcome]:
    """Measure what a client earns by sending copies of its update under further addresses.

    Args:
        dataset: A data set that `datasets.load_dataset` takes.
        partition: How the data is divided: a key of `trained_rounds.PARTITIONS`.
        clients: The number of clients without the copies; one of them owns the copies.
        copies: The numbers of copies to measure.
        noises: The noises to measure: the L2 norm of each copy's noise, relative to that of the
            owner's change of the weights; 0 for exact copies.
        seeds: The number of federations to train, with seeds 0, 1, ...
        scale: By how much a copy's change of the weights is multiplied.

    Returns:
        One outcome for each pair of a number of copies and a noise.
    """
    cases = [(number, noise) for number in copies for noise in noises]
    totals: dict[tuple[int, float], list[tuple[Floats, Floats, Floats]]] = {c: [] for c in cases}
    lowest = dict.fromkeys(cases, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        federation = TrainedFederation(Path(folder), dataset)
        for seed in range(seeds):
            for trained in federation.train_rounds(partition, clients, ROUNDS, seed):
                alone = _value(federation, trained.base, trained.updates)
                owner = int(np.argmax(alone["none"]))
                before = np.array([alone[rule][owner] for rule in RULES])
                for case in cases:
                    made = make_copies(trained, owner, *case, scale, seed)
                    updates = [*trained.updates, *made]
                    after = _value(federation, trained.base, updates)
                    own = np.array([after[rule][owner] for rule in RULES])
                    extra = np.array([after[rule][clients:].sum() for rule in RULES])
                    totals[case].append((before, own, own + extra))
                    similar = measure_similarities(trained.base, [trained.updates[owner], *made])
                    lowest[case] = min(lowest[case], float(similar.min()))
    return [
        _summarise_copies(
            CopyOutcome(dataset, partition, clients, *case, scale, lowest[case], {}, {}, {}, 0),
            totals[case],
        )
        for case in cases
    ]


def _summarise_copies(
    head: CopyOutcome, rows: Sequence[tuple[Floats, Floats, Floats]]
) -> CopyOutcome:
    before, own, together = (np.array([row[part] for row in rows]) for part in range(3))
    gains = (together > before * (1 + GAIN)).sum(axis=0)
    return CopyOutcome(
        head.dataset,
        head.partition,
        head.clients,
        head.copies,
        head.noise,
        head.scale,
        head.similarity,
        dict(zip(RULES, (together.sum(axis=0) / before.sum(axis=0)).tolist(), strict=True)),
        dict(zip(RULES, (own.sum(axis=0) / before.sum(axis=0)).tolist(), strict=True)),
        dict(zip(RULES, gains.tolist(), strict=True)),
        len(rows),
    )


def make_copies(
    trained: TrainedRound, owner: int, copies: int, noise: float, scale: float, seed: int
) -> list[Weights]:
    """Copy an update, with independent Gaussian noise of a given norm in each copy.

    Args:
        trained: The round, with the base and all updates.
        owner: The index of the update.
        copies: How many copies to make.
        noise: The norm of the noise, relative to that of the owner's change.
        scale: By how much the change is multiplied first.
        seed: Seeds the noise.

    Returns:
        The copies, float32 weights by name.
    """
    rng = np.random.default_rng([seed, 2])
    base = {name: array.astype(np.float64) for name, array in trained.base.items()}
    change = {n: trained.updates[owner][n].astype(np.float64) - base[n] for n in base}
    norm = math.sqrt(sum(float((array**2).sum()) for array in change.values()))
    made: list[Weights] = []
    for _ in range(copies):
        drawn = {name: rng.normal(size=array.shape) for name, array in change.items()}
        length = math.sqrt(sum(float((array**2).sum()) for array in drawn.values()))
        factor = noise * norm / length
        made.append(
            {
                name: (base[name] + scale * change[name] + factor * drawn[name]).astype(np.float32)
                for name in base
            }
        )
    return made


def _value(
    federation: TrainedFederation, base: Weights, updates: Sequence[Weights]
) -> dict[str, Floats]:
    """Pay a list of updates under all rules, float64 (n,) each."""
    trained = TrainedRound(base, tuple(updates))
    similarities = measure_similarities(base, updates)
    table = federation.evaluate(base, updates, [1] * len(updates))
    shapley = np.maximum(compute_shapley_values(table), 0)
    others = np.maximum(similarities, 0).sum(axis=1) - 1
    pay = {
        "none": shapley,
        "discount": shapley * np.exp(-math.log(2) * others),
        "banzhaf": np.maximum(_banzhaf_values(table), 0),
    }
    known = {tuple(range(len(updates))): shapley}
    for limit in LIMITS:
        groups = group_updates(similarities, limit)
        if groups not in known:
            known[groups], _ = pay_groups(federation, trained, groups)
        pay[f"limit {limit}"] = known[groups]
    return pay


def _banzhaf_values(table: Floats) -> Floats:
    """Average each player's marginal contribution over all coalitions of the others."""
    players = int(np.log2(len(table)))
    masks = np.arange(len(table))
    outside = [masks[(masks >> k) & 1 == 0] for k in range(players)]
    return np.array([float((table[o | 1 << k] - table[o]).mean()) for k, o in enumerate(outside)])
