"""Miners: honest, or with a strategy of ``fedcoin.testing.dishonest``.

An agent sees the chain after each block and answers with actions, as ``application.miner`` does;
it asks the game for what it computes, so that its effort can be counted.
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
from fedcoin.testing.dishonest.mining_strategies import (
    HONEST_STRATEGY,
    ComputedSamples,
    MiningStrategy,
)
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL

ABSENTEE_STRATEGY = MiningStrategy("absentee", opens=False, reveals=False)
"""Not a lie: a miner that is away, and does not even commit."""

Utility = Callable[[Bools], Ints]
Action = CommitShapley | RevealShapley


@dataclass
class _Work:
    tree: EvidenceTree
    salt: bytes
    commitment: bytes


@dataclass
class SimulatedMiner:
    """One miner. ``evaluations`` counts the coalitions that it computed."""

    key: KeyPair
    utility: Utility
    strategy: MiningStrategy = HONEST_STRATEGY
    deposit: int = 0
    """The least one of the network."""
    leaves: int = 44
    evaluations: int = 0
    last_settled_nano: tuple[int, ...] = ()
    _works: dict[tuple[bytes, int], _Work] = field(default_factory=dict)
    _said: set[tuple[bytes, int, int]] = field(default_factory=set)

    def act(self, state: StateReader, rivals: list[Action]) -> list[Action]:
        """What it sends after a block. ``rivals`` is what the other miners sent before."""
        actions: list[Action] = []
        for task_id, task in open_tasks(state):
            step = (task_id, task.attempt, task.phase)
            if step in self._said:
                continue
            terms = records.TERMS.get(state, task_id)
            assert terms is not None
            action = self._step(state, task_id, task, terms, rivals)
            if action is not None:
                self._said.add(step)
                actions.append(action)
        return actions

    def _step(
        self,
        state: StateReader,
        task_id: bytes,
        task: TaskState,
        terms: OpenTask,
        rivals: list[Action],
    ) -> Action | None:
        if task.phase == COMMIT:
            if self.strategy is ABSENTEE_STRATEGY:
                return None
            return self._commit(task_id, task, terms, rivals)
        miner = records.MINERS.get(state, task_id, self.key.address)
        work = self._works.get((task_id, task.attempt))
        if miner is None or work is None:
            return None
        if task.phase == CHALLENGE and self.strategy.opens:
            return self._answer(task_id, task, work, rivals)
        if task.phase == REVEAL and self.strategy.reveals:
            return self._answer(task_id, task, work, rivals)
        return None

    def _commit(
        self, task_id: bytes, task: TaskState, terms: OpenTask, rivals: list[Action]
    ) -> Action | None:
        plan = build_plan(terms, task_id, self.key.public_key)
        tree = self._evidence(plan, task.difficulty_nano)
        salt = sha256(b"salt", self.key.address, task_id, bytes([task.attempt]))
        made = compute_commitment(
            tree.build_opening(), salt, task_id, task.attempt, self.key.address
        )
        if self.strategy.copies == "commitment":
            copied = [
                a.commitment
                for a in rivals
                if isinstance(a, CommitShapley)
                and (a.task_id, a.attempt) == (task_id, task.attempt)
            ]
            if not copied:
                return None
            made = copied[0]
        self._works[task_id, task.attempt] = _Work(tree, salt, made)
        return CommitShapley(
            task_id=task_id,
            attempt=task.attempt,
            commitment=made,
            deposit=compute_deposit(self.deposit, terms.prices.mining),
        )

    def _answer(
        self, task_id: bytes, task: TaskState, work: _Work, rivals: list[Action]
    ) -> Action | None:
        shows = task.phase == REVEAL
        if self.strategy.copies == "commitment" or (self.strategy.copies and shows):
            for rival in rivals:
                if (
                    isinstance(rival, RevealShapley)
                    and (rival.task_id, rival.attempt) == (task_id, task.attempt)
                    and bool(rival.evidence.leaves) == shows
                ):
                    copied = RevealShapley()
                    copied.CopyFrom(rival)
                    return copied
            return None
        evidence = work.tree.build_opening()
        if shows:
            due = draw_challenged_leaves(
                task.challenge, self.key.public_key, work.tree.samples, self.leaves
            )
            evidence = work.tree.prove(due)
        return RevealShapley(
            task_id=task_id, attempt=task.attempt, salt=work.salt, evidence=evidence
        )

    def _evidence(self, plan: SamplingPlan, difficulty_nano: int) -> EvidenceTree:
        ends = self._ask(np.array([[True] * plan.clients, [False] * plan.clients]))
        grand, empty = int(ends[0]), 0 if plan.empty_is_zero else int(ends[1])
        known: Ints = np.empty((0, plan.leaf_length), dtype=np.int64)
        wanted = self.strategy.effort(plan, plan.sample_limit)
        if wanted:
            known = self._sample(plan, difficulty_nano, grand, empty)
        return self.strategy.claim(
            ComputedSamples(plan, known, grand, empty, self.last_settled_nano)
        )

    def _sample(self, plan: SamplingPlan, difficulty_nano: int, grand: int, empty: int) -> Ints:
        """Leaves until an honest miner would stop; then as many as the strategy makes of that."""
        known: Ints = np.empty((0, plan.leaf_length), dtype=np.int64)
        vectors: Ints = np.empty((0, plan.clients), dtype=np.int64)
        limit = plan.sample_limit
        limit = min(limit, self.strategy.effort(plan, plan.sample_limit))
        goal: int | None = None
        due = 0
        while len(known) < (limit if goal is None else goal):
            most = limit if goal is None else goal
            # Small steps: no more than a twentieth beyond what would be enough.
            step = max(plan.cycle_length, 4, len(known) // 20)
            leaves = range(len(known), min(most, len(known) + step))
            asked = self._ask(np.concatenate([plan.coalitions(leaf) for leaf in leaves]))
            rows: Ints = asked.reshape(len(leaves), plan.leaf_length)
            rows = plan.fill_implied(leaves, rows, grand, empty)
            known = np.concatenate([known, rows])
            if goal is None:
                added = plan.contributions(leaves, rows, grand, empty)
                vectors = np.concatenate([vectors, added])
            if goal is None and len(known) >= due:
                due = len(known) + len(known) // 20
                if has_enough_samples(plan, vectors, difficulty_nano):
                    goal = self.strategy.effort(plan, len(known))
        return known

    def _ask(self, coalitions: Bools) -> Ints:
        self.evaluations += len(coalitions)
        return self.utility(coalitions)
