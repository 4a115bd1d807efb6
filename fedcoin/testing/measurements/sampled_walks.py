"""Miners' plans for made-up tasks, and honest samples of a game."""

from __future__ import annotations

import numpy as np

from fedcoin.data.crypto.hashing import sha256
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.stopping import has_enough_samples
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.dishonest.mining_strategies import ComputedSamples
from fedcoin.v1 import task_pb2

MIN_SAMPLES_TO_STOP = 32
"""The number of samples before which no honest miner stops."""


def make_walk_plan(game: SaturatingGame, number: int, max_samples: int) -> SamplingPlan:
    """Make a miner's plan for a task of its own, under PERMUTATION.

    Args:
        game: Gives the number of clients and the size of the evaluation set.
        number: Chooses the task and the miner's key.
        max_samples: How many samples the task allows.

    Returns:
        A plan, which depends on the arguments alone.
    """
    return SamplingPlan(
        schedule=task_pb2.SCHEDULE_PERMUTATION,
        clients=game.clients,
        evaluation_size=game.size,
        truncation=0,
        max_samples=max_samples,
        task_id=sha256(b"task", number.to_bytes(4, "big")),
        public_key=sha256(b"key", number.to_bytes(4, "big")),
    )


def compute_samples(plan: SamplingPlan, game: SaturatingGame, samples: int) -> ComputedSamples:
    """Compute the first leaves honestly.

    Args:
        plan: The miner's plan.
        game: Evaluates coalitions.
        samples: How many leaves to compute.

    Returns:
        The leaves, and the grand and the empty coalition.
    """
    leaves = range(samples)
    coalitions = np.concatenate([plan.coalitions(leaf) for leaf in leaves])
    rows: Ints = game(coalitions).reshape(samples, plan.leaf_length)
    ends = game(np.array([[True] * plan.clients, [False] * plan.clients]))
    grand, empty = int(ends[0]), int(ends[1])
    return ComputedSamples(plan, plan.fill_implied(leaves, rows, grand, empty), grand, empty)


def count_samples_until_stop(
    game: SaturatingGame, distance: float, number: int, max_samples: int = 100_000
) -> int:
    """Count the samples at which an honest miner stops.

    Args:
        game: Evaluates coalitions.
        distance: D, as a share of the evaluation set.
        number: Chooses the task and the miner's key.
        max_samples: How many samples the task allows.

    Returns:
        A number of samples, checked in steps of a tenth from 32 on.
    """
    plan = make_walk_plan(game, number, max_samples)
    count = MIN_SAMPLES_TO_STOP
    while count < max_samples:
        known = compute_samples(plan, game, count)
        vectors = plan.contributions(range(count), known.utilities, known.grand, known.empty)
        if has_enough_samples(plan, vectors, round(distance * 1e9)):
            break
        count += max(1, count // 10)
    return count


def make_challenge(plan: SamplingPlan, number: int) -> bytes:
    """Derive a challenge from the salts of four miners.

    Args:
        plan: Names the task.
        number: Chooses the salts.

    Returns:
        A challenge, 32 bytes.
    """
    salts = {
        sha256(b"miner", bytes([i]))[:20]: sha256(bytes([i]), number.to_bytes(8, "big"))
        for i in range(4)
    }
    return derive_challenge(plan.task_id, 0, salts)
