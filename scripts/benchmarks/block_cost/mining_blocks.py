"""Full blocks of tasks: opened, mined by all validators, settled, and displaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from fedcoin.contract.tasks.room_rent import MAX_OPEN_TASKS
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import CommitShapley, DeclineTask, RevealShapley
from scripts.benchmarks.block_cost.bond_blocks import report_conflicts
from scripts.benchmarks.block_cost.campaign_blocks import open_campaigns
from scripts.benchmarks.block_cost.cost_allowance import BlockCost
from scripts.benchmarks.block_cost.measured_chain import MeasuredChain, Scale
from tests.support.keys import BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive, evidence_tree, salt

_WINDOW_MS = 3_600_000
_USEFUL = 90
"""How many clients add a right answer to the 100 of the evaluation set."""
_BIG_REVEALS = 6
"""More answers with the most samples than fit in a block."""
_SMALL_TASK_BYTES = 600
"""Less than a transaction with a task of one client takes."""
_LEAST_OFFER = 10
"""The lowest offer of a task that displaces others, in sap for each million of evaluations."""


@dataclass
class _Mine:
    """Tasks that are mined by all validators, step by step."""

    chain: MeasuredChain
    clients: list[KeyPair]
    samples: int
    tasks: dict[bytes, OpenTask]
    trees: dict[tuple[bytes, bytes], EvidenceTree]

    @classmethod
    def begin(cls, chain: MeasuredChain, clients: int, samples: int) -> _Mine:
        keys = sorted((key_of(f"client {i}") for i in range(clients)), key=lambda k: k.address)
        return cls(chain, keys, samples, {}, {})

    def openings(self, campaign_ids: list[bytes], ahead: int = 0) -> Iterator[Transaction]:
        """Sign the task of each campaign; those that are used up are open in the next block."""
        for i, campaign_id in enumerate(campaign_ids):
            job = LedgerCampaign(self.chain, self.clients, campaign_id=campaign_id)
            terms = job.task_terms(
                1,
                sampling=job.sampled(self.samples),
                commit_window_ms=_WINDOW_MS,
                reveal_window_ms=_WINDOW_MS,
            )
            yield self.chain.sign(BOB, terms, ahead=ahead + i)

    def take(self, openings: list[Transaction]) -> None:
        self.tasks |= {opening.hash: opening.body.open_task for opening in openings}

    def steps(self, miners: list[KeyPair]) -> Iterator[tuple[KeyPair, int, bytes, EvidenceTree]]:
        """List who acts in which task, miner by miner, with the number of its earlier actions."""
        game = additive(*(int(i < _USEFUL) for i in range(len(self.clients))), base=1)
        for miner in miners:
            for ahead, (task_id, terms) in enumerate(self.tasks.items()):
                key = task_id, miner.address
                if key not in self.trees:
                    plan = build_plan(terms, task_id, miner.public_key)
                    self.trees[key] = evidence_tree(plan, game, self.samples)
                yield miner, ahead, task_id, self.trees[key]

    def commits(self, miners: list[KeyPair]) -> Iterator[Transaction]:
        deposit = self.chain.genesis.parameters.commit_deposit
        for miner, ahead, task_id, tree in self.steps(miners):
            opened = compute_commitment(
                tree.build_opening(), salt(miner), task_id, 0, miner.address
            )
            action = CommitShapley(task_id=task_id, commitment=opened, deposit=deposit)
            yield self.chain.sign(miner, action, ahead=ahead)

    def reveals(self, miners: list[KeyPair], *, is_answer: bool) -> Iterator[Transaction]:
        count = self.chain.genesis.parameters.challenge_leaves
        for miner, ahead, task_id, tree in self.steps(miners):
            evidence = tree.build_opening()
            if is_answer:
                challenge = self.chain.task(task_id).challenge
                due = draw_challenged_leaves(challenge, miner.public_key, tree.samples, count)
                evidence = tree.prove(due)
            action = RevealShapley(task_id=task_id, salt=salt(miner), evidence=evidence)
            yield self.chain.sign(miner, action, ahead=ahead)


def measure_mining(scale: Scale) -> Iterator[BlockCost]:
    """Measure blocks of tasks and of miners' steps.

    Args:
        scale: The sizes.

    Yields:
        The cost of each block.
    """
    yield from _measure_steps(scale, scale.clients)
    yield from _measure_steps(scale, 1)
    yield from _measure_powers(scale)
    yield _measure_big_answers(scale)
    yield _measure_displacing(scale)


def _measure_steps(scale: Scale, clients: int) -> Iterator[BlockCost]:
    """Measure all steps of all tasks that may be open, mined by all validators with one sample.

    Each step of all miners takes several blocks; after the last miner's step the windows of all
    tasks are over.
    """
    about = f"{MAX_OPEN_TASKS} tasks of {clients} clients: "
    with MeasuredChain.begin(scale, validators=scale.miners) as chain:
        mine = _Mine.begin(chain, clients, samples=1)
        opened = list(open_campaigns(chain, MAX_OPEN_TASKS))
        chain.play(opened)
        tasks = list(mine.openings([transaction.hash for transaction in opened]))
        mine.take(tasks)
        taken = chain.fill(tasks)
        yield chain.measure(about + "opened", taken)
        chain.play(tasks[len(taken) :])
        *others, last = chain.miners
        for name, sign in (
            ("commitments", mine.commits),
            ("openings", partial(mine.reveals, is_answer=False)),
            ("answers", partial(mine.reveals, is_answer=True)),
        ):
            signed = list(sign(others))
            taken = chain.fill(signed)
            yield chain.measure(about + name, taken)
            chain.play(signed[len(taken) :])
            # All miners have acted then, so that all windows are over. A block closes some of them.
            yield chain.measure(f"{about}the last miner's {name}", sign([last]))
            while name != "answers" and chain.ledger.needs_block():
                chain.produce()
        assert not any(chain.task(task_id).waiting for task_id in mine.tasks)
        yield chain.measure(about + "one is settled")


def _measure_powers(scale: Scale) -> Iterator[BlockCost]:
    """Measure what sets the power of miners to 0 while as many tasks are open as may be."""
    about = f"{MAX_OPEN_TASKS} tasks of 1 clients: "
    with MeasuredChain.begin(scale, validators=scale.miners) as chain:
        mine = _Mine.begin(chain, 1, samples=1)
        opened = list(open_campaigns(chain, MAX_OPEN_TASKS))
        chain.play(opened)
        tasks = list(mine.openings([transaction.hash for transaction in opened]))
        chain.play(tasks)
        declines = (
            chain.sign(miner, DeclineTask(task_id=task.hash), ahead=ahead)
            for miner in chain.miners
            for ahead, task in enumerate(tasks)
        )
        yield chain.measure(about + "miners decline", declines)
        for _ in range(3):
            chain.produce()
        yield chain.measure(about + "reports of conflicting votes", report_conflicts(chain))


def _measure_big_answers(scale: Scale) -> BlockCost:
    """Measure a block of the largest answers: of one task, with as many samples as may be."""
    samples = 20 * scale.clients
    with MeasuredChain.begin(scale, validators=_BIG_REVEALS) as chain:
        mine = _Mine.begin(chain, scale.clients, samples)
        opened = list(open_campaigns(chain, 1))
        chain.play(opened)
        tasks = list(mine.openings([opened[0].hash]))
        mine.take(tasks)
        chain.play(tasks)
        chain.play(mine.commits(chain.miners))
        chain.play(mine.reveals(chain.miners, is_answer=False))
        answers = mine.reveals(chain.miners, is_answer=True)
        return chain.measure(f"answers with {samples:,} samples", answers)


def _measure_displacing(scale: Scale) -> BlockCost:
    """Measure tasks that displace others: first large ones to which a third has committed."""
    with MeasuredChain.begin(scale, validators=scale.miners) as chain:
        mine = _Mine.begin(chain, scale.clients, samples=1)
        opened = list(open_campaigns(chain, MAX_OPEN_TASKS))
        chain.play(opened)
        tasks = list(mine.openings([transaction.hash for transaction in opened]))
        mine.take(tasks)
        chain.play(tasks)
        chain.play(mine.commits(chain.miners[: scale.miners * 33 // 100]))
        offer, ids = _LEAST_OFFER, []
        for _ in range(scale.block_bytes // _SMALL_TASK_BYTES // MAX_OPEN_TASKS + 1):
            # A fifth of the budget is for mining, and the work of one client is ten million.
            budget = 50 * (offer + 1)
            opened = list(open_campaigns(chain, MAX_OPEN_TASKS, budget))
            chain.play(opened)
            ids += [transaction.hash for transaction in opened]
            offer = offer * 11 // 10 + 2
        small = _Mine.begin(chain, 1, samples=1)
        return chain.measure("tasks that displace others", small.openings(ids))
