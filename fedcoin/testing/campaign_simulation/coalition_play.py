"""An owner of several miners that withholds what pays best, among honest miners, on the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fedcoin.consensus.posap import Reveal, compute_outcome, weigh_work
from fedcoin.contract.state import records
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.incentive.payout import compute_deposit, split
from fedcoin.incentive.proof.challenge import derive_challenge, draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.testing.campaign_simulation.campaign_setting import (
    FIXED_DIFFICULTY,
    CampaignSetting,
    make_study_genesis,
)
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_coordinator import SimulatedCoordinator
from fedcoin.testing.campaign_simulation.unvoted_ledger import UnvotedLedger
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import Bond, CommitShapley, RevealShapley

HONEST_MINERS = 9
"""The number of honest miners, each with one key."""

HONEST_BOND = 100 * SAP_PER_FDC
"""What each honest miner has bonded, in sap; the owner has as much as one of them."""

LATE_BOND = 10 * SAP_PER_FDC
"""What the owner bonds when the challenge is known, in sap."""

SAMPLES = 60
"""The number of samples of each honest miner under sampled schedules."""

MAX_SAMPLES = 50 * SAMPLES
"""The largest number of samples that a miner may prove."""

_COMMIT = block_pb2.TASK_PHASE_COMMIT
_CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
_REVEAL = block_pb2.TASK_PHASE_REVEAL


@dataclass(frozen=True)
class Reply:
    """The strategy of an owner of several miners; by default it is honest with one key."""

    # Over how many keys its bond is split.
    keys: int = 1
    # How many salts, and how many reveals, it withholds at most.
    max_salts: int = 0
    max_leaves: int = 0
    # How many of its keys do not commit.
    skipped: int = 0
    # Whether it bonds more when the challenge is known.
    bonds_late: bool = False
    # How many times as many samples as the others it proves, where samples are drawn.
    diligence: int = 1
    # Whether it opens when it knows the others' salts; else it withholds without knowing them.
    opens_last: bool = True


@dataclass(frozen=True)
class PlayedTask:
    """The owner's earnings from one task, in sap."""

    # Paid to its keys, less deposits burned, on the ledger.
    net: int
    # What the owner predicted.
    predicted: int
    # What it would have earned if the keys that committed had withheld nothing.
    acting: int
    # Its share of the power when the task opened, times the mining price.
    fair: float


@dataclass
class _Mined:
    """What one miner has for the present task."""

    key: KeyPair
    power: int
    tree: EvidenceTree
    vector: tuple[int, ...]
    salt: bytes


class CoalitionPlay:
    """One campaign. Each task is played by `run_task`."""

    def __init__(
        self, reply: Reply, winner_takes_all: bool, schedule: int, tasks: int, seed: int
    ) -> None:
        """Start the campaign.

        Args:
            reply: The owner's strategy.
            winner_takes_all: Whether the campaign's mining reward is WINNER.
            schedule: A value of the enum Schedule.
            tasks: The number of its rounds.
            seed: Seeds the utilities of the clients' coalitions.
        """
        self._reply = reply
        self._takes_all = winner_takes_all
        self._is_exact = schedule == task_pb2.SCHEDULE_EXACT
        reward = (
            task_pb2.MINING_REWARD_WINNER if winner_takes_all else task_pb2.MINING_REWARD_PRO_RATA
        )
        self._game = SaturatingGame(3, seed=seed)
        setting = CampaignSetting(
            game=self._game, rounds=tasks, schedule=schedule, reward=reward, max_samples=MAX_SAMPLES
        )
        self._coordinator = SimulatedCoordinator(self._game.clients, setting)
        powers = [HONEST_BOND] * HONEST_MINERS + [HONEST_BOND // reply.keys] * reply.keys
        genesis = make_study_genesis(powers, FIXED_DIFFICULTY, self._coordinator.key.address)
        self._coordinator.use_genesis(genesis.hash)
        keys = [validator_key(i) for i in range(len(powers))]
        self._powers = {key.address: power for key, power in zip(keys, powers, strict=True)}
        self._honest, self._own = keys[:HONEST_MINERS], keys[HONEST_MINERS:]
        self._chain = UnvotedLedger(genesis, [key.address for key in self._honest])
        self._payments: list[PaymentReceipt] = []
        self._price = 0

    def run_task(self) -> PlayedTask:
        """Play the next task from its opening to its settlement, or to its failure."""
        chain, reply = self._chain, self._reply
        self._payments = []
        while (opened := chain.open_task()) is None:
            chain.produce(*self._coordinator.act(chain.state))
        task_id, task = opened
        terms = records.TERMS.get(chain.state, task_id)
        assert terms is not None
        self._price = terms.prices.mining
        own = self._own[: reply.keys - reply.skipped]
        mined = {key.address: self._mine(key, task_id, terms) for key in (*self._honest, *own)}
        self._produce(*(self._commitment(task_id, m) for m in mined.values()))
        self._wait(task_id, _COMMIT)
        silent = self._choose_salts(task_id, task, mined, own)
        self._open(task_id, mined, silent)
        self._wait(task_id, _CHALLENGE)
        if reply.bonds_late:
            self._produce((self._own[0], Bond(amount=LATE_BOND)))
        active = {a: m for a, m in mined.items() if a not in silent}
        hidden = self._choose_leaves(chain.read_task(task_id), active, own)
        self._reveal(task_id, {a: m for a, m in active.items() if a not in hidden})
        self._wait(task_id, _REVEAL)
        while not chain.read_task(task_id).closed_height:
            # No miner commits in a further attempt, so the task fails and pays what was proved.
            self._produce(after_ms=2_000)
        acting = self._predict_for(task_id, task, mined, (), ())
        predicted = self._predict_for(task_id, task, mined, silent, hidden)
        fair = self._price * sum(self._powers[key.address] for key in self._own)
        played = PlayedTask(self._count_net(), predicted, acting, fair / sum(self._powers.values()))
        if reply.bonds_late:
            # In the next task these coins count.
            self._powers[self._own[0].address] += LATE_BOND
        return played

    # Steps --------------------------------------------------------------------------------

    def _mine(self, key: KeyPair, task_id: bytes, terms: OpenTask) -> _Mined:
        plan = build_plan(terms, task_id, key.public_key)
        diligence = self._reply.diligence if key in self._own else 1
        samples = plan.fixed_samples or diligence * SAMPLES
        ends = self._game(np.array([[True] * plan.clients, [False] * plan.clients]))
        coalitions = np.concatenate([plan.coalitions(leaf) for leaf in range(samples)])
        rows = self._game(coalitions).reshape(samples, plan.leaf_length)
        tree = build_evidence_tree(plan, rows, int(ends[0]), int(ends[1]))
        vector = plan.shapley_nano(samples, tree.total)
        salt = sha256(b"salt", key.address, task_id)
        return _Mined(key, self._powers[key.address], tree, vector, salt)

    def _commitment(self, task_id: bytes, miner: _Mined) -> tuple[KeyPair, CommitShapley]:
        opening = miner.tree.build_opening()
        commitment = compute_commitment(opening, miner.salt, task_id, 0, miner.key.address)
        return miner.key, CommitShapley(
            task_id=task_id, commitment=commitment, deposit=self._deposit
        )

    def _open(self, task_id: bytes, mined: Mapping[bytes, _Mined], silent: Sequence[bytes]) -> None:
        own = {key.address for key in self._own}
        groups: list[Callable[[bytes], bool]] = [lambda a: True]
        if self._reply.opens_last:
            groups = [lambda a: a not in own, lambda a: a in own]
        for is_member in groups:
            self._produce(
                *(
                    (m.key, self._evidence(task_id, m, ()))
                    for a, m in mined.items()
                    if is_member(a) and a not in silent
                )
            )

    def _reveal(self, task_id: bytes, mined: Mapping[bytes, _Mined]) -> None:
        challenge = self._chain.read_task(task_id).challenge
        q = self._chain.genesis.parameters.challenge_leaves
        actions = []
        for m in mined.values():
            leaves = draw_challenged_leaves(challenge, m.key.public_key, m.tree.samples, q)
            actions.append((m.key, self._evidence(task_id, m, leaves)))
        self._produce(*actions)

    def _evidence(self, task_id: bytes, miner: _Mined, leaves: tuple[int, ...]) -> RevealShapley:
        evidence = miner.tree.prove(leaves) if leaves else miner.tree.build_opening()
        return RevealShapley(task_id=task_id, attempt=0, salt=miner.salt, evidence=evidence)

    def _wait(self, task_id: bytes, phase: int) -> None:
        while self._chain.read_task(task_id).phase == phase:
            self._produce(after_ms=2_000)

    def _produce(self, *actions: tuple[KeyPair, object], after_ms: int = 10) -> None:
        self._payments += self._chain.produce(*actions, after_ms=after_ms)  # type: ignore[arg-type]

    # Choices ------------------------------------------------------------------------------

    def _choose_salts(
        self, task_id: bytes, task: TaskState, mined: Mapping[bytes, _Mined], own: list[KeyPair]
    ) -> tuple[bytes, ...]:
        addresses = [key.address for key in own]
        if not self._reply.opens_last:
            return tuple(addresses[: self._reply.max_salts])
        return max(
            subsets(addresses, self._reply.max_salts),
            key=lambda silent: self._predict_for(task_id, task, mined, silent, ()),
        )

    def _choose_leaves(
        self, task: TaskState, active: Mapping[bytes, _Mined], own: list[KeyPair]
    ) -> tuple[bytes, ...]:
        addresses = [key.address for key in own if key.address in active]
        return max(
            subsets(addresses, self._reply.max_leaves),
            key=lambda hidden: self._predict(task, task.challenge, active, hidden),
        )

    def _predict_for(
        self,
        task_id: bytes,
        task: TaskState,
        mined: Mapping[bytes, _Mined],
        silent: Sequence[bytes],
        hidden: Sequence[bytes],
    ) -> int:
        """Predict the owner's net pay in sap, if some keys withhold their salts or their leaves."""
        active = {a: m for a, m in mined.items() if a not in silent}
        salts = {a: m.salt for a, m in active.items()}
        challenge = derive_challenge(task_id, 0, salts)
        paid = self._predict(task, challenge, active, hidden)
        return paid - len(silent) * self._deposit

    def _predict(
        self,
        task: TaskState,
        challenge: bytes,
        active: Mapping[bytes, _Mined],
        hidden: Sequence[bytes],
    ) -> int:
        reveals = [
            Reveal(a, m.power, m.tree.samples, m.vector)
            for a, m in active.items()
            if a not in hidden
        ]
        outcome = compute_outcome(
            reveals,
            task.difficulty_nano,
            challenge,
            self._is_exact or self._takes_all,
            min_samples_percent=self._chain.genesis.parameters.min_samples_percent,
        )
        burned = len(hidden) * self._deposit
        own = {key.address for key in self._own}
        if outcome is None:
            return self._share(reveals, [reveal.miner for reveal in reveals]) - burned
        if self._takes_all:
            scores = {
                a: compute_score(challenge, a, active[a].power) for a in (*outcome.inliers, *hidden)
            }
            drawn = max(scores, key=lambda a: scores[a])
            return self._price * (drawn == outcome.winner and drawn in own) - burned
        return self._share(reveals, outcome.inliers) - burned

    def _share(self, reveals: Sequence[Reveal], paid: Sequence[bytes]) -> int:
        own = {key.address for key in self._own}
        weights = weigh_work({reveal.miner: (reveal.power, reveal.samples) for reveal in reveals})
        shares = zip(paid, split(self._price, [weights[a] for a in paid]), strict=True)
        return sum(share for address, share in shares if address in own)

    @property
    def _deposit(self) -> int:
        least = self._chain.genesis.parameters.commit_deposit
        return compute_deposit(least, self._price, winner_takes_all=self._takes_all)

    def _count_net(self) -> int:
        own = {key.address for key in self._own}
        signs = {
            block_pb2.PAYMENT_KIND_MINING: 1,
            block_pb2.PAYMENT_KIND_DEPOSIT_BURNED: -1,
        }
        mine = (payment for payment in self._payments if payment.address in own)
        return sum(signs.get(payment.kind, 0) * payment.amount for payment in mine)


def subsets(keys: Sequence[bytes], largest: int) -> Iterator[tuple[bytes, ...]]:
    """List the sets of keys up to a size, the empty one first.

    Args:
        keys: Addresses, 20 bytes each.
        largest: The largest size.

    Yields:
        Each set as a tuple, smaller ones first.
    """
    for size in range(largest + 1):
        yield from combinations(keys, size)
