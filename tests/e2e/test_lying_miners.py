"""Miners that lie, through the API of an honest one: what they reveal is refused, each lie with its
own code, and in the end they lose their deposits.

The liars have bonds but no nodes: the honest miner holds nearly all of the power.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.incentive.payout import compute_deposit
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
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, FDC, QUIET, Network
from tests.support.keys import BOB, key_of
from tests.support.programs import Stage

pytestmark = pytest.mark.timeout(240)

CAREFUL, INVENTOR, ADDER, SILENT = (
    key_of(name) for name in ("careful", "inventor", "adder", "silent")
)
SAMPLES = 60
SALT = b"s" * 32
# Their turns to propose pass without a word.
HASTY = {**QUIET, "propose_timeout_ms": 150, "vote_timeout_ms": 100}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("liars")) as stage:
        liars = dict.fromkeys((CAREFUL, INVENTOR, ADDER, SILENT), FDC)
        network = Network(stage, [BOND], HASTY, more_bonds=liars)
        asyncio.run(network.start())
        yield network
        network.finish()


Utility = Callable[[np.ndarray], np.ndarray]


async def real_utility(folder: Path, work: Round) -> Utility:
    """Right answers of coalitions, as any miner computes them."""
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
    """A key with a bond, and what it claims of a task."""

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
        """Evidence that is consistent in itself, whatever the utility."""
        plan = self.plan
        rows = [utility(plan.coalitions(index)) for index in range(SAMPLES)]
        ends = utility(np.array([[True] * plan.clients, [False] * plan.clients]))
        return build_evidence_tree(plan, np.array(rows), int(ends[0]), int(ends[1]))

    async def commit(self, sums: Evidence, deposit: int) -> str:
        """What is said to a commitment; empty when it is taken."""
        made = compute_commitment(sums, SALT, self.task_id, self.attempt, self.key.address)
        action = CommitShapley(
            task_id=self.task_id, attempt=self.attempt, commitment=made, deposit=deposit
        )
        return await self._said_to(action)

    async def reveal(self, evidence: Evidence, salt: bytes = SALT, attempt: int = 0) -> str:
        """What is said to a reveal; empty when it is taken."""
        action = RevealShapley(task_id=self.task_id, attempt=attempt, salt=salt, evidence=evidence)
        return await self._said_to(action)

    async def _said_to(self, action: Message) -> str:
        try:
            await Wallet(self.node, self.key).execute(action)
        except RpcError as failure:
            return failure.code
        return ""

    def proof(self, tree: EvidenceTree, view: TaskView) -> Evidence:
        """What the challenge asks for."""
        challenge = bytes.fromhex(view.challenge)
        return tree.prove(draw_challenged_leaves(challenge, self.key.public_key, tree.samples, 44))


def other(evidence: Evidence) -> Evidence:
    """The same, to be changed."""
    copied = Evidence()
    copied.CopyFrom(evidence)
    return copied


def lies_about(evidence: Evidence) -> Iterator[tuple[str, set[str], Evidence]]:
    """Changes to a good answer that its commitment does not rule out."""
    leaf = other(evidence)
    leaf.leaves[5].utilities[0] ^= 1
    # The leaf's vector changes with it, so the sums of what is shown come out differently.
    yield "a wrong leaf", {"WRONG_TOTAL"}, leaf
    swapped = other(evidence)
    shown = [list(leaf.utilities) for leaf in evidence.leaves]
    unlike = next(place for place, row in enumerate(shown) if row != shown[0])
    swapped.leaves[0].utilities[:], swapped.leaves[unlike].utilities[:] = shown[unlike], shown[0]
    yield "two leaves swapped", {"WRONG_ROOT", "WRONG_TOTAL"}, swapped
    missing = other(evidence)
    del missing.leaves[-1]
    yield "a leaf less", {"WRONG_LEAVES"}, missing
    chosen = other(evidence)
    unasked = set(range(SAMPLES)) - {leaf.index for leaf in evidence.leaves}
    chosen.leaves[0].index = min(unasked)
    yield "a leaf that was not asked for", {"WRONG_LEAVES"}, chosen
    impossible = other(evidence)
    impossible.leaves[3].utilities[1] = 2**31
    yield "more right answers than examples", {"BAD_UTILITY"}, impossible
    shifted = other(evidence)
    shifted.siblings[0].sum[0] += 7
    shifted.siblings[0].sum[1] -= 7
    yield "a wrong sum of a subtree", {"WRONG_TOTAL"}, shifted
    greedy = other(evidence)
    greedy.siblings[0].sum[0] += 1
    yield "a subtree that shares out too much", {"SUM_NOT_EFFICIENT"}, greedy
    enormous = other(evidence)
    enormous.siblings[0].sum[0] = 2**62
    enormous.siblings[0].sum[1] = -(2**62)
    yield "a subtree beyond all bounds", {"SUM_OUT_OF_RANGE"}, enormous
    hashed = other(evidence)
    hashed.siblings[0].hash = bytes(32)
    yield "another subtree's hash", {"WRONG_ROOT"}, hashed
    fewer = other(evidence)
    del fewer.siblings[-1]
    yield "a sibling less", {"WRONG_SIBLINGS"}, fewer


async def begin(node: NodeClient, network: Network, work: Round) -> tuple[OpenTask, bytes]:
    """A sampled task that waits for commitments, and its id."""
    schedule = task_pb2.SCHEDULE_PERMUTATION
    campaign = Campaign(node, network.chain_id, work, schedule=schedule, max_samples=SAMPLES)
    await campaign.upload()
    await campaign.open()
    terms = campaign.task(commit_window_ms=30_000, reveal_window_ms=6_000)
    opening = await Wallet(node, campaign.server).submit(terms)
    await node.wait_until_final(opening.hash)
    return terms, opening.hash


async def test_what_liars_say(network: Network, tmp_path: Path) -> None:
    work = Round(3)
    truth = await real_utility(tmp_path, work)
    async with network.nodes[0].client() as node:
        terms, task_id = await begin(node, network, work)
        careful, inventor, adder, silent, stranger = (
            Liar(node, key, terms, task_id) for key in (CAREFUL, INVENTOR, ADDER, SILENT, BOB)
        )
        liars = (careful, inventor, adder, silent)
        honest = careful.tree(truth)
        invented = inventor.tree(lambda coalitions: 40 + 50 * coalitions.sum(axis=1))
        added = adder.tree(truth)
        wrong_sums = added.build_opening()
        wrong_sums.total[0] += 1_000
        wrong_sums.total[1] -= 1_000
        sums = (
            honest.build_opening(),
            invented.build_opening(),
            wrong_sums,
            silent.tree(truth).build_opening(),
        )
        least = network.nodes[0].home.genesis().parameters.commit_deposit
        deposit = compute_deposit(least, terms.prices.mining)

        # While others commit: before its time, without a bond, with another deposit or task.
        assert await careful.reveal(honest.build_opening()) == "TOO_EARLY"
        assert await careful.reveal(honest.prove([0, 1])) == "TOO_EARLY"
        assert await stranger.commit(honest.build_opening(), deposit) == "NOT_A_MINER"
        assert await careful.commit(honest.build_opening(), deposit - 1) == "WRONG_DEPOSIT"
        nowhere = Liar(node, CAREFUL, terms, bytes(32))
        assert await nowhere.commit(honest.build_opening(), deposit) == "UNKNOWN_TASK"
        later = Liar(node, CAREFUL, terms, task_id, attempt=1)
        assert await later.commit(honest.build_opening(), deposit) == "TOO_EARLY"
        committed = await asyncio.gather(
            *(liar.commit(claim, deposit) for liar, claim in zip(liars, sums, strict=True))
        )
        assert committed == [""] * 4

        # While commitments are opened. One keeps silent, so this lasts until the window is over.
        view = await reached(node, task_id, "CHALLENGE")
        assert [miner.committed for miner in view.miners] == [True] * 5
        assert await careful.commit(honest.build_opening(), deposit) == "TOO_LATE"
        assert await careful.reveal(honest.prove([0, 1])) == "TOO_EARLY"
        assert await careful.reveal(honest.build_opening(), salt=b"t" * 32) == "WRONG_OPENING"
        assert await careful.reveal(honest.build_opening(), salt=b"t" * 31) == "BAD_HASH"
        assert await careful.reveal(honest.build_opening(), attempt=1) == "TOO_EARLY"
        assert await careful.reveal(invented.build_opening()) == "WRONG_OPENING"
        more = honest.build_opening()
        more.samples = 1_000_000
        assert await careful.reveal(more) == "WRONG_OPENING"
        cluttered = honest.prove([0])
        del cluttered.leaves[:]
        assert await careful.reveal(cluttered) == "WRONG_SIBLINGS"
        assert await stranger.reveal(honest.build_opening()) == "NOT_COMMITTED"
        opened = await asyncio.gather(
            *(liar.reveal(claim) for liar, claim in zip(liars[:3], sums[:3], strict=True))
        )
        assert opened == [""] * 3
        assert await careful.reveal(honest.build_opening()) == "ALREADY_REVEALED"

        # While the challenged leaves are shown.
        view = await reached(node, task_id, "REVEAL")
        good = careful.proof(honest, view)
        for name, codes, lie in lies_about(good):
            assert await careful.reveal(lie) in codes, name
        assert await careful.reveal(good, salt=b"t" * 32) == "WRONG_OPENING"
        assert await inventor.reveal(good) == "WRONG_OPENING"
        assert await stranger.reveal(good) == "NOT_COMMITTED"
        assert await silent.reveal(silent.proof(silent.tree(truth), view)) == "NOT_OPENED"
        wrong = adder.proof(added, view)
        assert await adder.reveal(wrong) == "WRONG_OPENING"
        wrong.total[:] = wrong_sums.total
        assert await adder.reveal(wrong) == "WRONG_TOTAL"
        # Everything fits together, and nothing of it is true.
        assert await inventor.reveal(inventor.proof(invented, view)) == "AUDIT_FAILED"
        assert await careful.reveal(good) == ""
        assert await careful.reveal(good) == "ALREADY_REVEALED"

        # Afterwards.
        view = await reached(node, task_id, "SETTLED")
        assert await inventor.reveal(inventor.proof(invented, view)) == "TOO_LATE"
        check_paid(view)
        said = {miner.address: miner for miner in view.miners}
        assert [said[liar.address].revealed for liar in liars] == [True, False, False, False]
        assert not any(said[liar.address].reward for liar in liars[1:])
        assert (await node.get_status()).burned == 3 * deposit
