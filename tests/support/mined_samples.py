"""Samples of an honest miner: sampling plans, and a game whose counts can be computed again."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence

TASK_ID = bytes(range(32))
KEY = bytes(range(100, 132))
CHALLENGE = hashlib.sha256(b"challenge").digest()


def right_answers(coalitions: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """Compute counts (m,) of coalitions (m, n): a smooth function plus noise from a checksum."""
    worth = np.linspace(-0.3, 1.0, coalitions.shape[1])
    level = 0.5 + 0.4 * np.tanh(coalitions @ worth)
    noise = [zlib.crc32(np.packbits(row).tobytes()) % 1000 / 1000 for row in coalitions]
    counts = np.rint(size * (level + 0.05 * (np.array(noise) - 0.5)))
    return np.clip(counts, 0, size).astype(np.int64)


@dataclass(frozen=True)
class Mined:
    """A plan and the utilities of all its leaves."""

    plan: SamplingPlan
    utilities: NDArray[np.int64]
    grand: int
    empty: int

    def tree(self) -> EvidenceTree:
        """Build the tree over all leaves."""
        return build_evidence_tree(self.plan, self.utilities, self.grand, self.empty)

    def reveal(self, q: int) -> Evidence:
        """Show the q leaves that `CHALLENGE` names."""
        tree = self.tree()
        return tree.prove(draw_challenged_leaves(CHALLENGE, self.plan.public_key, tree.samples, q))


def make_plan(
    schedule: int,
    clients: int,
    size: int = 300,
    *,
    truncation: int = 0,
    max_samples: int = 1_000,
    public_key: bytes = KEY,
    empty_is_zero: bool = False,
) -> SamplingPlan:
    """Make a plan of one task and, unless told otherwise, one miner."""
    exact = schedule == task_pb2.SCHEDULE_EXACT
    return SamplingPlan(
        schedule=schedule,
        clients=clients,
        evaluation_size=size,
        truncation=truncation,
        max_samples=0 if exact else max_samples,
        task_id=TASK_ID,
        public_key=public_key,
        empty_is_zero=empty_is_zero,
    )


def mine(plan: SamplingPlan, samples: int = 20) -> Mined:
    """Evaluate `samples` leaves of a plan; under EXACT all of them."""
    n, size = plan.clients, plan.evaluation_size
    ends = right_answers(np.array([[True] * n, [False] * n]), size)
    grand, empty = int(ends[0]), 0 if plan.empty_is_zero else int(ends[1])
    count = plan.fixed_samples or samples
    rows = np.stack([right_answers(plan.coalitions(i), size) for i in range(count)])
    return Mined(plan, plan.fill_implied(range(count), rows, grand, empty), grand, empty)
