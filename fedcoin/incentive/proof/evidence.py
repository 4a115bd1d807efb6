"""Evidence for a miner's vector of Shapley values: how it is made, committed to and verified.

Verification (`verify_evidence`) goes from cheap to expensive: counts and lengths, then ranges,
then hashes. Evidence that passes shows that the leaves and sums belong to the root; that each leaf
holds utilities which the schedule allows and the vector that follows from them; and that every
other subtree has a sum which some utilities could give and which adds up over the clients as it
must. A miner could still invent a leaf that is not shown; challenge and audit are there to find
that, and `SamplingPlan.max_leaf_weight_nano` bounds what it is worth.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence_checks import (
    check_counts,
    check_ends,
    check_indices,
    check_samples,
    check_siblings,
    check_vector,
)
from fedcoin.incentive.proof.few_leaves import is_plainly_valid
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import MAX_CLIENTS, SamplingPlan
from fedcoin.incentive.proof.sum_tree import (
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
    """The result that verified evidence proves."""

    samples: int
    """Number of leaves N: the vector's weight in the mean of all miners."""
    shapley_nano: tuple[int, ...]
    """Shapley values in nano-utility, one for each client."""
    evaluations: int
    """Number of coalitions in all leaves."""


@dataclass(frozen=True, slots=True)
class EvidenceTree:
    """All samples of one miner, from which it can answer any challenge."""

    utilities: Ints
    """In units of the utility, int64 (N, m), the implied ones filled in."""
    tree: SumTree
    """The Merkle-sum tree over all leaves."""
    grand: int
    """u(all clients), in units of the utility."""
    empty: int
    """u(no client), in units of the utility."""

    @property
    def samples(self) -> int:
        """Number of leaves, N."""
        return len(self.utilities)

    @property
    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        return self.tree.root

    @property
    def total(self) -> list[int]:
        """The sum of all leaves' vectors, n integers."""
        return self.tree.total

    def build_opening(self) -> Evidence:
        """Build the evidence without leaves and siblings, to which the miner commits.

        Returns:
            Root, number of samples, total, and the utilities of the grand and empty coalition.
        """
        return Evidence(
            root=self.root,
            samples=self.samples,
            total=self.total,
            grand_count=self.grand,
            empty_count=self.empty,
        )

    def prove(self, indices: Sequence[int]) -> Evidence:
        """Build the evidence that answers a challenge.

        Args:
            indices: The challenged leaves, different and in ascending order.

        Returns:
            The opening, those leaves, and the siblings that lead from them to the root.
        """
        evidence = self.build_opening()
        for index in indices:
            evidence.leaves.add(index=index, utilities=self.utilities[index].tolist())
        for digest, total in self.tree.siblings(indices):
            evidence.siblings.add(hash=digest, sum=total)
        return evidence


def build_evidence_tree(
    plan: SamplingPlan, utilities: Sequence[Sequence[int]] | Ints, grand: int, empty: int
) -> EvidenceTree:
    """Build the tree over a miner's leaves 0 to N - 1.

    Args:
        plan: The miner's plan for the task.
        utilities: Of each leaf's m coalitions (`plan.leaf_length`), in units of the utility, int64
            (N, m). Those that the schedule defines are ignored and computed here.
        grand: u(all clients), in units of the utility.
        empty: u(no client), in units of the utility.

    Returns:
        A tree with all utilities, from which any leaf can be proved.

    Raises:
        RefusalError: BAD_SAMPLES when the task does not allow N samples; BAD_UTILITY when a utility
            is below 0 or above the largest one. No verifier would accept such evidence.
    """
    check_samples(plan, len(utilities))
    claimed = np.asarray(utilities, dtype=np.int64).reshape(len(utilities), plan.leaf_length)
    indices = range(len(claimed))
    rows = plan.fill_implied(indices, claimed, grand, empty)
    check_ends(plan, grand, empty)
    if rows.min() < 0 or rows.max() > plan.max_utility:
        raise RefusalError(
            IncentiveCode.BAD_UTILITY,
            f"utilities are from {rows.min()} to {rows.max()}; 0 to {plan.max_utility} is possible",
            field="utilities",
            limit=str(plan.max_utility),
        )
    vectors = plan.contributions(indices, rows, grand, empty)
    return EvidenceTree(rows, build_sum_tree(rows, vectors), grand, empty)


def compute_commitment(
    evidence: Evidence, salt: bytes, task_id: bytes, attempt: int, address: bytes
) -> bytes:
    """Compute the hash that a miner publishes before the challenge is known.

    The commitment is SHA-256("fedcoin/commitment/v1" || 00 || salt (32 bytes) || task id (32) ||
    attempt (4) || miner's address (20) || root (32) || samples (8) || grand (4) || empty (4) ||
    n (4) || total (n times 8, two's complement)), with numbers big-endian. It binds the
    miner to its samples, and the salt hides them. Leaves and siblings are not hashed, because the
    root commits to them.

    Args:
        evidence: The opening; leaves and siblings are ignored.
        salt: 32 random bytes.
        task_id: 32 bytes.
        attempt: The attempt's number, 0 for the first one; below 2**32.
        address: The miner's address, 20 bytes.

    Returns:
        The commitment, 32 bytes.

    Raises:
        RefusalError: MALFORMED when a part has the wrong length or the total has no number or
            more than 1,000.
    """
    for name, value, length in (
        ("salt", salt, 32),
        ("task_id", task_id, 32),
        ("address", address, 20),
        ("evidence.root", evidence.root, HASH_BYTES),
    ):
        check_length(value, length, name, code=IncentiveCode.MALFORMED)
    check_vector("evidence.total", evidence.total, max_length=MAX_CLIENTS)
    total = evidence.total
    counts = evidence.samples, evidence.grand_count, evidence.empty_count, len(total)
    numbers = struct.pack(f">QIII{len(total)}q", *counts, *total)
    context = task_id + attempt.to_bytes(4, "big") + address
    return hashlib.sha256(_COMMITMENT + salt + context + evidence.root + numbers).digest()


def verify_evidence(
    evidence: Evidence, plan: SamplingPlan, challenge: bytes, q: int
) -> ProvedVector:
    """Check a miner's evidence against its plan and the challenge.

    No utility is recomputed. Time and memory are in proportion to the evidence that an honest
    miner would send.

    Args:
        evidence: The miner's evidence, from an untrusted source.
        plan: The miner's plan for the task.
        challenge: The task's challenge, 32 bytes.
        q: How many leaves are challenged, at least 1.

    Returns:
        The vector that the evidence proves.

    Raises:
        RefusalError: MALFORMED when a hash, sum or total has a wrong length; BAD_SAMPLES when the
            task does not allow the number of samples; BAD_UTILITY when a utility is out of range or
            not what the schedule defines; WRONG_LEAVES when other leaves than the challenged ones
            are shown; WRONG_SIBLINGS when the number of siblings is wrong; SUM_OUT_OF_RANGE when no
            utilities could give a sibling's sum; SUM_NOT_EFFICIENT when a sum does not add up to
            its known total over the clients; WRONG_TOTAL or WRONG_ROOT when leaves and siblings
            lead to another total or root.
    """
    check_counts(evidence, plan, q)
    samples = evidence.samples
    if not is_plainly_valid(evidence, plan, q):
        _check_tree(evidence, plan, challenge, q)
    values = plan.shapley_nano(samples, evidence.total)
    return ProvedVector(samples, values, plan.evaluations(samples))


def _check_tree(evidence: Evidence, plan: SamplingPlan, challenge: bytes, q: int) -> None:
    """Check leaves, siblings and root of evidence whose counts and lengths are right."""
    samples, grand, empty = evidence.samples, evidence.grand_count, evidence.empty_count
    indices = draw_challenged_leaves(challenge, plan.public_key, samples, q)
    check_indices(evidence, indices)
    missing = sibling_positions(indices, samples)
    siblings = check_siblings(evidence, plan, missing)
    claimed = [leaf.utilities for leaf in evidence.leaves]
    rows = plan.check_utilities(indices, claimed, grand, empty)
    vectors = plan.contributions(indices, rows, grand, empty)
    leaves = np.array(indices, dtype=np.int64)
    shown = KnownNodes(leaves, leaf_hashes(leaves, rows, vectors), vectors)
    _check_root(evidence, _fold(shown, missing, siblings, samples))


def compute_max_evidence_bytes(plan: SamplingPlan, q: int) -> int:
    """Bound the serialised size of any valid `Evidence` under a plan.

    A task whose evidence might not fit into a transaction is refused when it is opened.

    Args:
        plan: A miner's plan for the task.
        q: How many leaves are challenged, at least 1.

    Returns:
        An upper bound in bytes.
    """
    samples = plan.sample_limit
    shown = min(q, samples)
    leaf = plan.leaf_length * _varint_bytes(plan.max_utility) + 32
    reach = samples * plan.max_utility * plan.denominator(1)
    node = HASH_BYTES + plan.clients * _varint_bytes(2 * reach) + 16
    # A level shows at most one sibling for each leaf, and no more than half of its nodes.
    siblings = sum(min(shown, width // 2) for width in level_widths(samples)[:-1])
    return shown * leaf + (siblings + 1) * node + 64


def _check_root(evidence: Evidence, root: KnownNodes) -> None:
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


def _fold(
    known: KnownNodes, missing: list[list[int]], siblings: tuple[Hashes, Ints], samples: int
) -> KnownNodes:
    """Compute the root from the shown leaves and the siblings, which are in the order needed."""
    hashes, sums = siblings
    taken = 0
    for level, positions in enumerate(missing):
        end = taken + len(positions)
        added = np.array(positions, dtype=np.int64)
        known = known.with_nodes(added, hashes[taken:end], sums[taken:end])
        known = known.parents(level, samples)
        taken = end
    return known


def _varint_bytes(value: int) -> int:
    """Return the bytes of a protobuf varint, 7 bits each."""
    return max(1, -(-value.bit_length() // 7))
