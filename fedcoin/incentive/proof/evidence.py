"""Evidence behind a vector: made by the miner, committed to, and checked by everybody.

``verify_evidence`` goes from cheap to costly: first counts and lengths, then ranges, and only then
hashes. What it has passed is: these leaves and sums are the ones under the root; every leaf holds
utilities that the schedule allows, and the vector that follows from them; every other subtree holds
a sum that some utilities could give, and that adds up over clients as they must. What is not shown
may still be invented, within its weight: that is what the challenge and the audit are for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence_checks import (
    check_counts,
    check_ends,
    check_indices,
    check_length,
    check_samples,
    check_siblings,
    check_vector,
)
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.sum_tree import (
    HASH_BYTES,
    Hashes,
    KnownNodes,
    SumTree,
    build_sum_tree,
    leaf_hashes,
    level_widths,
    sibling_positions,
)
from fedcoin.v1.evidence_pb2 import Evidence

_COMMITMENT = b"fedcoin/commitment/v1\x00"


@dataclass(frozen=True, slots=True)
class ProvedVector:
    """What valid evidence says."""

    samples: int
    """Leaves of the tree: the vector's weight in the mean."""
    shapley_nano: tuple[int, ...]
    """S, one a client, in nano-utility."""
    evaluations: int
    """Coalitions that the samples stand for."""


@dataclass(frozen=True, slots=True)
class EvidenceTree:
    """All samples of one miner, ready to answer any challenge."""

    utilities: Ints
    """(N, m), canonical."""
    tree: SumTree
    grand: int
    empty: int

    @property
    def samples(self) -> int:
        """Leaves, N."""
        return len(self.utilities)

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self.tree.root

    @property
    def total(self) -> list[int]:
        """The sum of all leaves' vectors."""
        return self.tree.total

    def build_opening(self) -> Evidence:
        """The evidence without any leaf: what the miner commits to."""
        return Evidence(
            root=self.root,
            samples=self.samples,
            total=self.total,
            grand_count=self.grand,
            empty_count=self.empty,
        )

    def prove(self, indices: Sequence[int]) -> Evidence:
        """The evidence with the leaves of the rising, different ``indices`` and their siblings."""
        evidence = self.build_opening()
        for index in indices:
            evidence.leaves.add(index=index, utilities=self.utilities[index].tolist())
        for digest, total in self.tree.siblings(indices):
            evidence.siblings.add(hash=digest, sum=total)
        return evidence


def build_evidence_tree(
    plan: SamplingPlan, utilities: Sequence[Sequence[int]] | Ints, grand: int, empty: int
) -> EvidenceTree:
    """The tree over leaves 0 to N - 1 of ``plan``, from their utilities (N, m).

    ``grand`` and ``empty`` are right answers. Utilities that the schedule defines are filled in,
    so they may be anything. Raises ``Refusal`` BAD_SAMPLES or BAD_UTILITY for what no verifier
    would accept.
    """
    check_samples(plan, len(utilities))
    claimed = np.asarray(utilities, dtype=np.int64).reshape(len(utilities), plan.leaf_length)
    indices = range(len(claimed))
    rows = plan.fill_implied(indices, claimed, grand, empty)
    check_ends(plan, grand, empty)
    if rows.min() < 0 or rows.max() > plan.evaluation_size:
        raise RefusalError(
            IncentiveCode.BAD_UTILITY,
            f"utilities must be from 0 to {plan.evaluation_size}",
            field="utilities",
            limit=str(plan.evaluation_size),
        )
    vectors = plan.contributions(indices, rows, grand, empty)
    return EvidenceTree(rows, build_sum_tree(rows, vectors), grand, empty)


def compute_commitment(
    evidence: Evidence, salt: bytes, task_id: bytes, attempt: int, address: bytes
) -> bytes:
    """What a miner publishes before the challenge: a hiding, binding hash of its sums, 32 bytes.

    SHA-256("fedcoin/commitment/v1" 00 || salt (32) || task id (32) || attempt (4) || miner's
    address (20) || root (32) || samples (8) || grand (4) || empty (4) || n (4) || total (n x 8,
    two's complement)), numbers big-endian. The root stands for leaves and siblings.
    Raises ``Refusal`` MALFORMED when a part has another length or the vector is longer than any.
    """
    for name, value, length in (
        ("salt", salt, 32),
        ("task_id", task_id, 32),
        ("address", address, 20),
        ("evidence.root", evidence.root, HASH_BYTES),
    ):
        check_length(name, value, length)
    check_vector("evidence.total", evidence.total, most=1_000)
    numbers = (
        evidence.samples.to_bytes(8, "big")
        + evidence.grand_count.to_bytes(4, "big")
        + evidence.empty_count.to_bytes(4, "big")
        + len(evidence.total).to_bytes(4, "big")
        + b"".join(value.to_bytes(8, "big", signed=True) for value in evidence.total)
    )
    return hashlib.sha256(
        _COMMITMENT
        + salt
        + task_id
        + attempt.to_bytes(4, "big")
        + address
        + evidence.root
        + numbers
    ).digest()


def verify_evidence(
    evidence: Evidence, plan: SamplingPlan, challenge: bytes, q: int
) -> ProvedVector:
    """Check what a miner shows against its plan and the challenge, and return its vector.

    ``q``, at least 1, is how many leaves are challenged. Time and memory are in proportion to the
    evidence that an honest miner would send. Raises ``Refusal`` with an ``EvidenceCode``;
    recomputes no utility.
    """
    check_counts(evidence, plan, q)
    samples, grand, empty = evidence.samples, evidence.grand_count, evidence.empty_count
    indices = draw_challenged_leaves(challenge, plan.public_key, samples, q)
    check_indices(evidence, indices)
    missing = sibling_positions(indices, samples)
    siblings = check_siblings(evidence, plan, missing)
    rows = plan.check_utilities(indices, [leaf.utilities for leaf in evidence.leaves], grand, empty)
    vectors = plan.contributions(indices, rows, grand, empty)
    places = np.array(indices, dtype=np.int64)
    root = _fold(
        KnownNodes(places, leaf_hashes(places, rows, vectors), vectors), missing, siblings, samples
    )
    if root.sums[0].tolist() != list(evidence.total):
        raise RefusalError(
            IncentiveCode.WRONG_TOTAL,
            "total is not the sum of the leaves and siblings shown",
            field="evidence.total",
        )
    if root.hashes[0].tobytes() != evidence.root:
        raise RefusalError(
            IncentiveCode.WRONG_ROOT,
            "root is not the hash of the leaves and siblings shown",
            field="evidence.root",
        )
    return ProvedVector(
        samples, plan.shapley_nano(samples, evidence.total), plan.evaluations(samples)
    )


def compute_max_evidence_bytes(plan: SamplingPlan, q: int) -> int:
    """An upper bound on the serialised size of any valid ``Evidence`` under ``plan``, in bytes.

    A task whose reveals could not fit in a transaction is better refused when it is opened.
    """
    samples = plan.sample_limit
    shown = min(q, samples)
    leaf = plan.leaf_length * _varint(plan.evaluation_size) + 32
    reach = samples * plan.evaluation_size * plan.denominator(1)
    node = HASH_BYTES + plan.clients * _varint(2 * reach) + 16
    # Each level shows at most one sibling a leaf, and no more than half of its nodes.
    siblings = sum(min(shown, width // 2) for width in level_widths(samples)[:-1])
    return shown * leaf + (siblings + 1) * node + 64


def _fold(
    known: KnownNodes, missing: list[list[int]], siblings: tuple[Hashes, Ints], samples: int
) -> KnownNodes:
    """From the shown leaves up to the root, taking siblings in their order."""
    hashes, sums = siblings
    taken = 0
    for level, places in enumerate(missing):
        upto = taken + len(places)
        added = np.array(places, dtype=np.int64)
        known = known.with_nodes(added, hashes[taken:upto], sums[taken:upto])
        known = known.parents(level, samples)
        taken = upto
    return known


def _varint(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))
