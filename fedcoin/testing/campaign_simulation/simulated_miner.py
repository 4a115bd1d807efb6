"""A miner that reacts to each block with actions, by an honest or dishonest strategy.

Unlike the node's miner it has no worker: a game evaluates coalitions, and counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, compute_commitment
from fedcoin.incentive.proof.layouts import Bools, Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.incentive.proof.stopping import has_enough_samples
from fedcoin.testing.campaign_simulation.shared_mempool import MiningAction
from fedcoin.testing.dishonest.mining_strategies import (
    HONEST_STRATEGY,
    ComputedSamples,
    MiningStrategy,
)
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL

ABSENTEE_STRATEGY = MiningStrategy("absentee", opens=False, reveals=False)
"""A miner that is away and does not even commit; it is not dishonest."""

Utility = Callable[[Bools], Ints]
"""Right answers, int64 (m,), of coalitions, bool (m, n)."""


@dataclass
class _Work:
    """The evidence that a miner committed to in one attempt."""

    tree: EvidenceTree
    salt: bytes
    commitment: bytes


@dataclass
class SimulatedMiner:
    """A miner of a simulated campaign, which acts by its strategy after each block."""

    # Signs the miner's transactions.
    key: KeyPair
    # Evaluates coalitions.
    utility: Utility
    strategy: MiningStrategy = HONEST_STRATEGY
    # The network's smallest deposit, in sap (`commit_deposit` of the genesis).
    min_deposit: int = 0
    # How many leaves are challenged (`challenge_leaves` of the genesis).
    challenge_leaves: int = 44
    # How many coalitions the miner has evaluated.
    evaluations: int = 0
    # The mean Shapley values of the last settled task, in nano-utility.
    last_settled_nano: tuple[int, ...] = ()
    _works: dict[tuple[bytes, int], _Work] = field(default_factory=dict)
    _finished_steps: set[tuple[bytes, int, int]] = field(default_factory=set)

    def act(self, state: StateReader, rival_actions: list[MiningAction]) -> list[MiningAction]:
        """Choose actions after a block.

        Args:
            state: The state after the block.
            rival_actions: What other miners submitted before, oldest first.

        Returns:
            At most one action for each open task.
        """
        actions: list[MiningAction] = []
        for task_id, task in open_tasks(state):
            step = (task_id, task.attempt, task.phase)
            if step in self._finished_steps:
                continue
            terms = records.TERMS.get(state, task_id)
            assert terms is not None
            action = self._act_on_task(state, task_id, task, terms, rival_actions)
            if action is not None:
                self._finished_steps.add(step)
                actions.append(action)
        return actions

    def _act_on_task(
        self,
        state: StateReader,
        task_id: bytes,
        task: TaskState,
        terms: OpenTask,
        rival_actions: list[MiningAction],
    ) -> MiningAction | None:
        if task.phase == COMMIT:
            if self.strategy is ABSENTEE_STRATEGY:
                return None
            campaign = records.CAMPAIGNS.get(state, terms.campaign_id)
            assert campaign is not None, "a task without a campaign"
            takes_all = campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER
            return self._commit(task_id, task, terms, rival_actions, takes_all)
        miner = records.MINERS.get(state, task_id, self.key.address)
        work = self._works.get((task_id, task.attempt))
        if miner is None or work is None:
            return None
        if task.phase == CHALLENGE and self.strategy.opens:
            return self._reveal(task_id, task, work, rival_actions)
        if task.phase == REVEAL and self.strategy.reveals:
            return self._reveal(task_id, task, work, rival_actions)
        return None

    def _commit(
        self,
        task_id: bytes,
        task: TaskState,
        terms: OpenTask,
        rival_actions: list[MiningAction],
        winner_takes_all: bool,
    ) -> MiningAction | None:
        plan = build_plan(terms, task_id, self.key.public_key)
        tree = self._compute_claim(plan, task.difficulty_nano)
        salt = sha256(b"salt", self.key.address, task_id, bytes([task.attempt]))
        commitment = compute_commitment(
            tree.build_opening(), salt, task_id, task.attempt, self.key.address
        )
        if self.strategy.copies == "commitment":
            rivals = [
                action.commitment
                for action in rival_actions
                if isinstance(action, CommitShapley)
                and (action.task_id, action.attempt) == (task_id, task.attempt)
            ]
            if not rivals:
                return None
            commitment = rivals[0]
        self._works[task_id, task.attempt] = _Work(tree, salt, commitment)
        return CommitShapley(
            task_id=task_id,
            attempt=task.attempt,
            commitment=commitment,
            deposit=compute_deposit(
                self.min_deposit, terms.prices.mining, winner_takes_all=winner_takes_all
            ),
        )

    def _reveal(
        self, task_id: bytes, task: TaskState, work: _Work, rival_actions: list[MiningAction]
    ) -> MiningAction | None:
        """Open the commitment in the challenge phase, or reveal leaves in the reveal phase."""
        with_leaves = task.phase == REVEAL
        if self.strategy.copies == "commitment" or (self.strategy.copies and with_leaves):
            for rival in rival_actions:
                if (
                    isinstance(rival, RevealShapley)
                    and (rival.task_id, rival.attempt) == (task_id, task.attempt)
                    and bool(rival.evidence.leaves) == with_leaves
                ):
                    copied = RevealShapley()
                    copied.CopyFrom(rival)
                    return copied
            return None
        evidence = work.tree.build_opening()
        if with_leaves:
            leaves = draw_challenged_leaves(
                task.challenge, self.key.public_key, work.tree.samples, self.challenge_leaves
            )
            evidence = work.tree.prove(leaves)
        return RevealShapley(
            task_id=task_id, attempt=task.attempt, salt=work.salt, evidence=evidence
        )

    def _compute_claim(self, plan: SamplingPlan, difficulty_nano: int) -> EvidenceTree:
        ends = self._evaluate(np.array([[True] * plan.clients, [False] * plan.clients]))
        grand, empty = int(ends[0]), 0 if plan.empty_is_zero else int(ends[1])
        known: Ints = np.empty((0, plan.leaf_length), dtype=np.int64)
        if self.strategy.effort(plan, plan.sample_limit):
            known = self._sample(plan, difficulty_nano, grand, empty)
        computed = ComputedSamples(plan, known, grand, empty, self.last_settled_nano)
        return self.strategy.claim(computed)

    def _sample(self, plan: SamplingPlan, difficulty_nano: int, grand: int, empty: int) -> Ints:
        """Compute leaves until an honest miner would stop, and then as many as the strategy wants.

        The result is int64 (N, m).
        """
        known: Ints = np.empty((0, plan.leaf_length), dtype=np.int64)
        vectors: Ints = np.empty((0, plan.clients), dtype=np.int64)
        limit = self.strategy.effort(plan, plan.sample_limit)
        limit = min(plan.sample_limit, limit)
        is_enough = False
        next_check = 0
        while len(known) < limit:
            # Small steps: at most a twentieth more than what is enough.
            step = max(plan.cycle_length, 4, len(known) // 20)
            leaves = range(len(known), min(limit, len(known) + step))
            counts = self._evaluate(np.concatenate([plan.coalitions(leaf) for leaf in leaves]))
            rows: Ints = counts.reshape(len(leaves), plan.leaf_length)
            rows = plan.fill_implied(leaves, rows, grand, empty)
            known = np.concatenate([known, rows])
            if is_enough:
                continue
            added = plan.contributions(leaves, rows, grand, empty)
            vectors = np.concatenate([vectors, added])
            if len(known) >= next_check:
                next_check = len(known) + len(known) // 20
                if has_enough_samples(plan, vectors, difficulty_nano):
                    is_enough = True
                    limit = self.strategy.effort(plan, len(known))
        return known

    def _evaluate(self, coalitions: Bools) -> Ints:
        self.evaluations += len(coalitions)
        return self.utility(coalitions)
