"""A node's miner that follows a dishonest strategy.

When it acts, how it submits and what it keeps on disk is inherited from the honest miner. When an
action is refused it tries again until the window ends, as an honest miner does, and loses its
deposit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from fedcoin.application.mining.miner import Miner
from fedcoin.application.mining.sampler import Samples, Utility, gather
from fedcoin.application.mining.task_progress import TaskProgress
from fedcoin.application.mining.work_store import SealedWork
from fedcoin.contract.state import records
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.testing.dishonest.mining_strategies import ComputedSamples, MiningStrategy
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley

log = logging.getLogger(__name__)

MAX_BLOCKS_BACK = 200
"""The number of the latest blocks in which it looks for the last settled values."""


class DishonestMiner(Miner):
    """A miner that computes, claims and reveals what a strategy says."""

    def __init__(self, strategy: MiningStrategy, *arguments: Any, **options: Any) -> None:
        """Make a miner.

        Args:
            strategy: The samples that the miner computes, claims and reveals.
            *arguments: Passed to `Miner`.
            **options: Passed to `Miner`.
        """
        super().__init__(*arguments, **options)
        self._strategy = strategy
        self._claims: dict[tuple[bytes, int], EvidenceTree] = {}

    async def _sample(
        self, turn: TaskProgress, task: TaskState, known: Samples | None
    ) -> Samples | None:
        """Compute the samples that the strategy asks for, and return those that it claims."""
        plan, task_id = turn.plan, turn.assignment.task_id
        end_ms = task.deadline_ms - self._margin_ms(turn)
        timeout_s = max(0.0, (end_ms - self._clock()) / 1000)
        wanted = self._strategy.effort(plan, plan.sample_limit)
        async with self._jobs.opened(turn.assignment, timeout_s) as utility:
            if wanted >= plan.sample_limit:
                d = task.difficulty_nano
                samples = await gather(
                    plan,
                    utility,
                    d,
                    self._clock,
                    end_ms,
                    is_over=lambda: self._clock() >= turn.deadline_ms - self._margin_ms(turn),
                )
            else:
                samples = await _compute_leaves(plan, utility, wanted)
        if samples is None:
            return None
        computed = ComputedSamples(
            plan,
            samples.utilities,
            samples.grand,
            samples.empty,
            self._last_settled_nano(plan.clients),
        )
        tree = await asyncio.to_thread(self._strategy.claim, computed)
        self._claims[task_id, task.attempt] = tree
        return Samples(tree.utilities, tree.grand, tree.empty)

    async def _tree_of(self, turn: TaskProgress, work: SealedWork) -> EvidenceTree:
        claimed = self._claims.get((turn.assignment.task_id, work.attempt))
        return claimed if claimed is not None else await super()._tree_of(turn, work)

    async def _commit(self, turn: TaskProgress, task: TaskState) -> None:
        if self._strategy.copies != "commitment":
            await super()._commit(turn, task)
            return
        task_id = turn.assignment.task_id
        while not (rivals := self._committed_rivals(task_id)):
            await self._chain.wait_above(self._chain.height())
        action = CommitShapley(
            task_id=task_id,
            attempt=task.attempt,
            commitment=rivals[0].commitment,
            deposit=turn.deposit,
        )
        turn.sent = (await self._submit(action)).hash

    async def _reveal(self, turn: TaskProgress, task: TaskState, miner: MinerState) -> None:
        is_reveal = task.phase == block_pb2.TASK_PHASE_REVEAL
        if not (self._strategy.reveals if is_reveal else self._strategy.opens):
            turn.given_up = not is_reveal
            return
        copies = self._strategy.copies
        if copies != "commitment" and not (copies and is_reveal):
            await super()._reveal(turn, task, miner)
            return
        task_id = turn.assignment.task_id
        while (copied := next(self._find_reveals(task_id, task, is_reveal), None)) is None:
            await self._chain.wait_above(self._chain.height())
        turn.sent = (await self._submit(copied)).hash

    def _committed_rivals(self, task_id: bytes) -> list[MinerState]:
        found = records.MINERS.scan(self._chain.ledger.reader, task_id)
        return [miner for address, miner in found if address != self._key.address]

    def _find_reveals(
        self, task_id: bytes, task: TaskState, with_leaves: bool
    ) -> Iterator[RevealShapley]:
        """Find rivals' openings, or their reveals with leaves, in the blocks of this phase."""
        genesis = self._chain.genesis
        for height in range(task.phase_height, self._chain.height() + 1):
            stored = self._chain.block(height)
            if stored is None:
                continue
            block = decode_block(stored.raw, genesis.parameters.max_block_bytes)
            for raw in block.transactions:
                body = decode_transaction(raw, genesis.identity, len(raw)).body
                action = body.reveal_shapley
                if action.task_id == task_id and bool(action.evidence.leaves) == with_leaves:
                    yield action

    def _last_settled_nano(self, clients: int) -> tuple[int, ...]:
        """Find the settled values of the last task with this number of clients; empty if none."""
        top = self._chain.height()
        for height in range(top, max(0, top - MAX_BLOCKS_BACK), -1):
            header = self._chain.store.header(height)
            if header is None or not header.HasField("settlement"):
                continue
            mean = tuple(header.settlement.mean_shapley_nano)
            if len(mean) == clients:
                return mean
        return ()


async def _compute_leaves(plan: SamplingPlan, utility: Utility, count: int) -> Samples:
    """Compute the first leaves, and the grand and the empty coalition."""
    ends = np.array([[True] * plan.clients, [False] * plan.clients])
    grand, empty = (await utility(ends)).tolist()
    rows = np.empty((0, plan.leaf_length), dtype=np.int64)
    if count:
        coalitions = np.concatenate([plan.coalitions(leaf) for leaf in range(count)])
        rows = (await utility(coalitions)).reshape(count, plan.leaf_length)
    return Samples(plan.fill_implied(range(count), rows, grand, empty), grand, empty)
