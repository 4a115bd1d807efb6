"""How often a miner that made up a part of its leaves is caught, and what it moves unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_audited_coalitions
from fedcoin.incentive.proof.challenge import derive_challenge, draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, verify_evidence
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.dishonest import forged_evidence
from fedcoin.testing.dishonest.mining_strategies import ComputedSamples, forge_fraction
from fedcoin.v1 import task_pb2

Q = 44
SAMPLES = 500
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
PER_TREE = 40
"""Challenges for each forged tree."""

PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
PER_TEN_THOUSAND = 2


@dataclass(frozen=True)
class DetectionRate:
    """One point of the curve."""

    fraction: float
    trials: int
    caught: int
    formula: float
    """1 - (1 - f)^q."""
    without_return: float
    """The same for leaves that are drawn without being put back, as they are."""

    @property
    def rate(self) -> float:
        """The share that was caught."""
        return self.caught / self.trials


def plan_for(game: SaturatingGame, number: int, samples: int = SAMPLES) -> SamplingPlan:
    """A miner's plan for a task of its own."""
    return SamplingPlan(
        schedule=PERMUTATION,
        clients=game.clients,
        evaluation_size=game.size,
        truncation=0,
        max_samples=samples,
        task_id=sha256(b"task", number.to_bytes(4, "big")),
        public_key=sha256(b"key", number.to_bytes(4, "big")),
    )


def honest(plan: SamplingPlan, game: SaturatingGame, samples: int = SAMPLES) -> ComputedSamples:
    """All leaves, computed."""
    leaves = range(samples)
    coalitions = np.concatenate([plan.coalitions(leaf) for leaf in leaves])
    rows: Ints = game(coalitions).reshape(samples, plan.leaf_length)
    ends = game(np.array([[True] * plan.clients, [False] * plan.clients]))
    grand, empty = int(ends[0]), int(ends[1])
    return ComputedSamples(plan, plan.fill_implied(leaves, rows, grand, empty), grand, empty)


def passes(tree: EvidenceTree, plan: SamplingPlan, game: SaturatingGame, challenge: bytes) -> bool:
    """Would this be taken by the ledger and voted for?"""
    evidence = tree.prove(draw_challenged_leaves(challenge, plan.public_key, tree.samples, Q))
    try:
        verify_evidence(evidence, plan, challenge, Q)
        counts = game(list_audited_coalitions(evidence, plan))
        compare_counts(evidence, plan, counts, compute_tolerance(game.size, PER_TEN_THOUSAND))
    except RefusalError:
        return False
    return True


def challenge_number(plan: SamplingPlan, number: int) -> bytes:
    """A challenge, as four miners' salts make one."""
    salts = {
        sha256(b"miner", bytes([i]))[:20]: sha256(bytes([i]), number.to_bytes(8, "big"))
        for i in range(4)
    }
    return derive_challenge(plan.task_id, 0, salts)


def curve(trials: int, fractions: Sequence[float] = FRACTIONS) -> list[DetectionRate]:
    """Partial forgers of each fraction, each trial with a challenge of its own."""
    game = SaturatingGame(5)
    found = []
    for fraction in fractions:
        caught = 0
        for number in range(-(-trials // PER_TREE)):
            plan = plan_for(game, number)
            rng = np.random.default_rng(number)
            tree = forge_fraction(honest(plan, game), fraction, rng)
            for trial in range(min(PER_TREE, trials - number * PER_TREE)):
                challenge = challenge_number(plan, number * PER_TREE + trial)
                caught += not passes(tree, plan, game, challenge)
        forged = max(1, round(fraction * SAMPLES))
        missed = comb(SAMPLES - forged, Q) / comb(SAMPLES, Q)
        found.append(DetectionRate(fraction, trials, caught, 1 - (1 - fraction) ** Q, 1 - missed))
    return found


@dataclass(frozen=True)
class UndetectedBias:
    """What a liar gave its favourite without being seen, as shares of the evaluation set."""

    how: str
    trials: int
    unseen: int
    """Trials in which it was not caught."""
    moved: float
    """The most that the favourite's value moved in those."""
    bound: float
    """The most that it could have moved."""


def hidden_bias(trials: int, fraction: float) -> UndetectedBias:
    """A subtree of a share of the leaves that claims all that the checks let it claim."""
    game = SaturatingGame(5)
    plan = plan_for(game, 0)
    known = honest(plan, game)
    truth = known.tree(known.utilities)
    tree = forged_evidence.forge_subtree_sum(plan, truth, fraction, 0)
    unseen = sum(passes(tree, plan, game, challenge_number(plan, i)) for i in range(trials))
    leaves = 1 << int(np.log2(fraction * SAMPLES))
    moved = abs(tree.total[0] - truth.total[0]) / plan.denominator(SAMPLES) / game.size
    bound = leaves * plan.max_leaf_weight_nano(SAMPLES) / 1e9
    name = f"hidden in a subtree of {leaves} of {SAMPLES} leaves"
    return UndetectedBias(name, trials, unseen, moved if unseen else 0.0, bound)


def tolerated_bias(trials: int, size: int) -> UndetectedBias:
    """Every utility wrong by the tolerance, in the favourite's direction: never caught."""
    game = SaturatingGame(5, size=size)
    plan = plan_for(game, 0)
    known = honest(plan, game)
    tolerance = compute_tolerance(size, PER_TEN_THOUSAND)
    member = np.stack([plan.coalitions(leaf)[:, 0] for leaf in range(SAMPLES)])
    leaning = np.clip(known.utilities + np.where(member, tolerance, -tolerance), 0, size)
    truth = known.tree(known.utilities)
    tree = build_evidence_tree(plan, leaning, known.grand, known.empty)
    unseen = sum(passes(tree, plan, game, challenge_number(plan, i)) for i in range(trials))
    moved = abs(tree.total[0] - truth.total[0]) / SAMPLES / size
    name = f"every count off by the tolerance, {tolerance} of {size}"
    return UndetectedBias(name, trials, unseen, moved if unseen else 0.0, 2 * tolerance / size)
