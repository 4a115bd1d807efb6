"""A campaign played on a `LedgerChain`: signed updates, real evidence, whole tasks.

The utilities of a round are given by a game: a function of coalitions, as in the literature on
Shapley values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.incentive.training_reward import compute_prices_due
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import (
    ClientUpdate,
    EvaluationShard,
    OpenCampaign,
    OpenTask,
    PriceSplit,
    RoundPrices,
    Sampling,
    SignedUpdate,
)
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_chain import LedgerChain

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL
SETTLE = block_pb2.TASK_PHASE_SETTLE
SETTLED = block_pb2.TASK_PHASE_SETTLED
FAILED = block_pb2.TASK_PHASE_FAILED
GAVE_WAY = block_pb2.TASK_PHASE_GAVE_WAY

Game = Callable[[NDArray[Any]], NDArray[Any]]
"""Maps coalitions, bool (m, n), to their right answers, int64 (m,)."""

SHARDS = tuple(sha256(b"shard", bytes([i])) for i in range(3))
WEIGHTS = sha256(b"initial weights")


def additive(*worth: int, base: int = 10) -> Game:
    """Return the game in which each client adds this many right answers to any coalition."""
    gains = np.array(worth, dtype=np.int64)
    return lambda coalitions: coalitions @ gains + base


def evidence_tree(plan: SamplingPlan, game: Game, samples: int) -> EvidenceTree:
    """Build the evidence of an honest miner."""
    count = plan.fixed_samples or samples
    rows = [game(plan.coalitions(index)) for index in range(count)]
    ends = game(np.array([[True] * plan.clients, [False] * plan.clients]))
    empty = 0 if plan.empty_is_zero else int(ends[1])
    return build_evidence_tree(plan, np.array(rows), int(ends[0]), empty)


@dataclass
class LedgerCampaign:
    """A campaign on a chain, driven round by round."""

    chain: LedgerChain
    clients: list[KeyPair] = field(
        default_factory=lambda: sorted(
            (key_of(f"client {i}") for i in range(3)), key=lambda k: k.address
        )
    )
    requester: KeyPair = field(default_factory=lambda: ALICE)
    server: KeyPair = field(default_factory=lambda: BOB)
    campaign_id: bytes = b""
    task_id: bytes = b""
    terms: OpenTask = field(default_factory=OpenTask)

    def campaign_terms(self, **changes: Any) -> OpenCampaign:
        """Return the terms of two rounds for 10 FDC, split as in the paper, with changes."""
        given: dict[str, Any] = {
            "server": self.server.address,
            "model": sha256(b"model"),
            "initial_weights": WEIGHTS,
            "rounds": 2,
            "budget": 10 * FDC,
            "utility": task_pb2.UTILITY_ACCURACY,
            "spread": task_pb2.BUDGET_SPREAD_EQUAL,
            "split": PriceSplit(training=7, aggregation=1, mining=2),
            "mining_reward": task_pb2.MINING_REWARD_WINNER,
            "training_reward": task_pb2.TRAINING_REWARD_PROPORTIONAL,
            "evaluation_root": merkle.root(SHARDS),
            "evaluation_shards": len(SHARDS),
        }
        return OpenCampaign(**given | changes)

    def open_campaign(self, **changes: Any) -> bytes:
        """Open the campaign in its own block."""
        opening = self.chain.sign(self.requester, self.campaign_terms(**changes))
        self.chain.produce(opening)
        self.campaign_id = opening.hash
        return self.campaign_id

    def update(self, client: KeyPair, round: int, **changes: Any) -> SignedUpdate:
        """Sign a client's update."""
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": round,
            "base": self.base(round),
            "update": sha256(b"update", client.address),
            "num_samples": 100,
            "address": client.address,
        }
        return sign_update(ClientUpdate(**given | changes), client, self.chain.genesis.hash)

    def base(self, round: int) -> bytes:
        """Return the base weights' id of a round."""
        campaign = self.chain.campaign(self.campaign_id)
        if campaign.terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE:
            return campaign.best_weights
        return WEIGHTS if round == 1 else aggregate(round - 1)

    def task_terms(self, round: int | None = None, **changes: Any) -> OpenTask:
        """Return the terms of the next round's EXACT task, with changes."""
        campaign = self.chain.campaign(self.campaign_id)
        number = campaign.last_round + 1 if round is None else round
        last = min(number, campaign.terms.rounds)
        due = compute_prices_due(campaign.terms, last, campaign.training_fund)
        shard = (number - 1) % len(SHARDS)
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": number,
            "base": self.base(number),
            "aggregate": aggregate(number),
            "updates": [self.update(client, number) for client in self.clients],
            "evaluation": EvaluationShard(
                artifact=SHARDS[shard], index=shard, path=merkle.audit_path(SHARDS, shard), size=100
            ),
            "utility": task_pb2.UTILITY_ACCURACY,
            "empty_coalition": task_pb2.EMPTY_COALITION_BASE_MODEL,
            "averaging": task_pb2.AVERAGING_FIXED_DENOMINATOR,
            "sampling": Sampling(schedule=task_pb2.SCHEDULE_EXACT),
            "prices": RoundPrices(
                training=due.training, aggregation=due.aggregation, mining=due.mining
            ),
            "commit_window_ms": 10_000,
            "reveal_window_ms": 10_000,
            "max_attempts": 2,
            "max_room_fee": FDC,
        }
        return OpenTask(**given | changes)

    def open_task(self, **changes: Any) -> bytes:
        """Open the next round's task in its own block."""
        self.terms = self.task_terms(**changes)
        opening = self.chain.sign(self.server, self.terms)
        self.chain.produce(opening)
        self.task_id = opening.hash
        return self.task_id

    def sampled(self, samples: int = 50, truncation: int = 0) -> Sampling:
        """Return the sampling of the paper: permutations."""
        return Sampling(
            schedule=task_pb2.SCHEDULE_PERMUTATION, max_samples=samples, truncation=truncation
        )

    @property
    def task(self) -> TaskState:
        """Return the task's record."""
        return self.chain.task(self.task_id)

    @property
    def deposit(self) -> int:
        """Return the deposit of a commitment, in sap."""
        least = self.chain.genesis.parameters.commit_deposit
        campaign = self.chain.campaign(self.campaign_id)
        takes_all = campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER
        return compute_deposit(least, self.terms.prices.mining, winner_takes_all=takes_all)

    def plan(self, miner: KeyPair) -> SamplingPlan:
        """Return a miner's sampling plan."""
        return build_plan(self.terms, self.task_id, miner.public_key)

    def tree(self, miner: KeyPair, game: Game, samples: int = 50) -> EvidenceTree:
        """Return the evidence tree that a miner built."""
        return evidence_tree(self.plan(miner), game, samples)

    def commit(self, miner: KeyPair, tree: EvidenceTree, **changes: Any) -> Transaction:
        """Commit to a miner's evidence."""
        attempt = self.task.attempt
        given: dict[str, Any] = {
            "task_id": self.task_id,
            "attempt": attempt,
            "commitment": compute_commitment(
                tree.build_opening(), salt(miner), self.task_id, attempt, miner.address
            ),
            "deposit": self.deposit,
        }
        return self.chain.sign(miner, CommitShapley(**given | changes))

    def open(self, miner: KeyPair, tree: EvidenceTree, **changes: Any) -> Transaction:
        """Open a miner's commitment, so that its salt is part of the challenge."""
        given: dict[str, Any] = {
            "task_id": self.task_id,
            "attempt": self.task.attempt,
            "salt": salt(miner),
            "evidence": tree.build_opening(),
        }
        return self.chain.sign(miner, RevealShapley(**given | changes))

    def reveal(self, miner: KeyPair, tree: EvidenceTree, **changes: Any) -> Transaction:
        """Reveal the challenged leaves."""
        task = self.task
        due = draw_challenged_leaves(
            task.challenge,
            miner.public_key,
            tree.samples,
            self.chain.genesis.parameters.challenge_leaves,
        )
        given: dict[str, Any] = {
            "task_id": self.task_id,
            "attempt": task.attempt,
            "salt": salt(miner),
            "evidence": tree.prove(due),
        }
        return self.chain.sign(miner, RevealShapley(**given | changes))

    def run(
        self,
        games: Mapping[KeyPair, Game],
        *,
        samples: Mapping[KeyPair, int] | None = None,
        withheld: Sequence[KeyPair] = (),
    ) -> None:
        """Play one attempt: these miners commit, all but the silent ones reveal, and windows end.

        Ends when the task waits for settlement, is in its next attempt, or has failed.
        """
        chain = self.chain
        amounts = samples or {}
        trees = {m: self.tree(m, game, amounts.get(m, 50)) for m, game in games.items()}
        chain.produce(*(self.commit(miner, tree) for miner, tree in trees.items()))
        self.wait(COMMIT, self.terms.commit_window_ms)
        if self.task.phase != CHALLENGE:
            return
        self.open_all(trees)
        chain.produce(*(self.reveal(m, t) for m, t in trees.items() if m not in withheld))
        self.wait(REVEAL, self.terms.reveal_window_ms)

    def open_all(self, trees: Mapping[KeyPair, EvidenceTree]) -> None:
        """Open every miner's commitment, which fixes the challenge."""
        assert self.task.phase == CHALLENGE
        self.chain.produce(*(self.open(miner, tree) for miner, tree in trees.items()))
        assert self.task.phase == REVEAL

    def wait(self, phase: int, window_ms: int) -> None:
        """Produce blocks until the window of a phase has ended."""
        state = self.task
        if state.phase == phase:
            self.chain.produce(after_ms=window_ms)
        while (self.task.phase, self.task.attempt) == (phase, state.attempt):
            self.chain.produce()

    def settle(self, games: Mapping[KeyPair, Game], **options: Any) -> None:
        """Play one attempt and settle it."""
        self.run(games, **options)
        assert self.task.phase == SETTLE
        self.chain.produce()
        assert self.task.phase == SETTLED


def aggregate(round: int) -> bytes:
    """Return the artifact id of a round's aggregate."""
    return sha256(b"aggregate", round.to_bytes(4, "big"))


def salt(miner: KeyPair) -> bytes:
    """Return a miner's salt."""
    return sha256(b"salt", miner.address)
