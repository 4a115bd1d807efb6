"""Miners without nodes that lie about their work, and changes that make evidence wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley
from fedcoin.v1.views_pb2 import TaskView
from tests.support.e2e.materials import Round
from tests.support.e2e.network import wallet_on

SAMPLES = 60
"""How many samples each miner evaluates."""
SALT = b"s" * 32

Utility = Callable[[NDArray[Any]], NDArray[Any]]


async def real_utility(folder: Path, work: Round) -> Utility:
    """Evaluate every coalition as an honest miner does; returns the right answers of coalitions."""
    files = {"model": work.model, "base": work.base, "evaluation": work.evaluation}
    files |= {f"update-{index}": raw for index, raw in enumerate(work.updates)}
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    job = UtilityJob(
        job_id=b"liars",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"update-{index}" for index in range(work.clients)),
        num_samples=tuple(work.num_samples),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
    )
    weights = 1 << np.arange(work.clients)
    every = (np.arange(1 << work.clients)[:, None] & weights) > 0
    worker = WorkerPool()
    try:
        await worker.open_job(job)
        counts = await worker.evaluate(job.job_id, every)
    finally:
        await worker.stop()
    return lambda coalitions: counts[coalitions @ weights]


@dataclass
class Liar:
    """A key with a bond, and what it claims about a task."""

    node: NodeClient
    key: KeyPair
    terms: OpenTask
    task_id: bytes
    attempt: int = 0

    @property
    def plan(self) -> SamplingPlan:
        return build_plan(self.terms, self.task_id, self.key.public_key)

    @property
    def address(self) -> str:
        return format_address(self.key.address)

    def tree(self, utility: Utility) -> EvidenceTree:
        """Build evidence that is consistent in itself, whatever the utility."""
        plan = self.plan
        rows = [utility(plan.coalitions(index)) for index in range(SAMPLES)]
        ends = utility(np.array([[True] * plan.clients, [False] * plan.clients]))
        return build_evidence_tree(plan, np.array(rows), int(ends[0]), int(ends[1]))

    async def commit(self, sums: Evidence, deposit: int) -> str:
        """Send a commitment; returns the code of the refusal, or an empty string."""
        made = compute_commitment(sums, SALT, self.task_id, self.attempt, self.key.address)
        action = CommitShapley(
            task_id=self.task_id, attempt=self.attempt, commitment=made, deposit=deposit
        )
        return await self._send(action)

    async def reveal(self, evidence: Evidence, salt: bytes = SALT, attempt: int = 0) -> str:
        """Send a reveal; returns the code of the refusal, or an empty string."""
        action = RevealShapley(task_id=self.task_id, attempt=attempt, salt=salt, evidence=evidence)
        return await self._send(action)

    async def _send(self, action: Message) -> str:
        try:
            await (await wallet_on(self.node, self.key)).execute(action)
        except RpcError as failure:
            return failure.code
        return ""

    def proof(self, tree: EvidenceTree, view: TaskView) -> Evidence:
        """Return the leaves that the challenge asks for, with their Merkle paths."""
        challenge = bytes.fromhex(view.challenge)
        return tree.prove(draw_challenged_leaves(challenge, self.key.public_key, tree.samples, 44))


Change = Callable[[Evidence], None]


def flip_utility(evidence: Evidence) -> None:
    evidence.leaves[5].utilities[0] ^= 1


def swap_leaves(evidence: Evidence) -> None:
    rows = [list(leaf.utilities) for leaf in evidence.leaves]
    different = next(index for index, row in enumerate(rows) if row != rows[0])
    evidence.leaves[0].utilities[:] = rows[different]
    evidence.leaves[different].utilities[:] = rows[0]


def drop_leaf(evidence: Evidence) -> None:
    del evidence.leaves[-1]


def show_unasked_leaf(evidence: Evidence) -> None:
    asked = {leaf.index for leaf in evidence.leaves}
    evidence.leaves[0].index = min(set(range(SAMPLES)) - asked)


def exceed_examples(evidence: Evidence) -> None:
    evidence.leaves[3].utilities[1] = 2**31


def shift_subtree_sum(evidence: Evidence) -> None:
    evidence.siblings[0].sum[0] += 7
    evidence.siblings[0].sum[1] -= 7


def raise_subtree_sum(evidence: Evidence) -> None:
    evidence.siblings[0].sum[0] += 1


def overflow_subtree_sum(evidence: Evidence) -> None:
    evidence.siblings[0].sum[0] = 2**62
    evidence.siblings[0].sum[1] = -(2**62)


def replace_subtree_hash(evidence: Evidence) -> None:
    evidence.siblings[0].hash = bytes(32)


def drop_sibling(evidence: Evidence) -> None:
    del evidence.siblings[-1]


LIES: dict[Change, set[str]] = {
    # The leaf's vector changes with its utility, so the revealed sums no longer add up.
    flip_utility: {"WRONG_TOTAL"},
    swap_leaves: {"WRONG_ROOT", "WRONG_TOTAL"},
    drop_leaf: {"WRONG_LEAVES"},
    show_unasked_leaf: {"WRONG_LEAVES"},
    exceed_examples: {"BAD_UTILITY"},
    shift_subtree_sum: {"WRONG_TOTAL"},
    raise_subtree_sum: {"SUM_NOT_EFFICIENT"},
    overflow_subtree_sum: {"SUM_OUT_OF_RANGE"},
    replace_subtree_hash: {"WRONG_ROOT"},
    drop_sibling: {"WRONG_SIBLINGS"},
}
"""Changes to a good reveal, each with the codes that it may be refused with."""


def changed(evidence: Evidence, change: Change) -> Evidence:
    copied = Evidence()
    copied.CopyFrom(evidence)
    change(copied)
    return copied
