"""An honest node refuses each lie of a miner with its own code, and the liars lose their deposits.

The liars have bonds but run no nodes: they send their transactions through the API of the honest
miner, which holds nearly all of the voting power.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2
from fedcoin.v1.block_pb2 import PAYMENT_KIND_DEPOSIT_BURNED
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.views_pb2 import TaskView
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.liars import LIES, SAMPLES, Liar, Utility, changed, real_utility
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, FDC, QUIET, Network, wallet_on
from tests.support.keys import BOB, key_of
from tests.support.programs import Stage

pytestmark = pytest.mark.timeout(240)

CAREFUL, INVENTOR, ADDER, SILENT = (
    key_of(name) for name in ("careful", "inventor", "adder", "silent")
)
# The liars never propose a block when it is their turn: the short timeouts skip them.
HASTY = {**QUIET, "propose_timeout_ms": 150, "vote_timeout_ms": 100}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("liars")) as stage:
        liars = dict.fromkeys((CAREFUL, INVENTOR, ADDER, SILENT), FDC)
        network = Network(stage, [BOND], HASTY, more_bonds=liars)
        asyncio.run(network.start())
        yield network
        network.finish()


@dataclass(frozen=True)
class Trial:
    """One sampled task, its liars, and the evidence that each of them commits to."""

    node: NodeClient
    terms: OpenTask
    task_id: bytes
    deposit: int
    """The commitment's deposit in sap."""
    truth: Utility

    def liar(self, key: KeyPair, *, attempt: int = 0) -> Liar:
        return Liar(self.node, key, self.terms, self.task_id, attempt)

    @property
    def careful(self) -> Liar:
        """Lies, and tells the truth in time."""
        return self.liar(CAREFUL)

    @property
    def inventor(self) -> Liar:
        """Commits to utilities that it never evaluated."""
        return self.liar(INVENTOR)

    @property
    def adder(self) -> Liar:
        """Evaluates, and commits to other sums."""
        return self.liar(ADDER)

    @property
    def silent(self) -> Liar:
        """Commits to the truth, and never reveals."""
        return self.liar(SILENT)

    @property
    def stranger(self) -> Liar:
        """Has no bond."""
        return self.liar(BOB)

    @cached_property
    def honest(self) -> EvidenceTree:
        return self.careful.tree(self.truth)

    @cached_property
    def invented(self) -> EvidenceTree:
        return self.inventor.tree(lambda coalitions: 40 + 50 * coalitions.sum(axis=1))

    @cached_property
    def added(self) -> EvidenceTree:
        return self.adder.tree(self.truth)

    def wrong_sums(self) -> Evidence:
        sums = self.added.build_opening()
        sums.total[0] += 1_000
        sums.total[1] -= 1_000
        return sums


async def begin(network: Network, node: NodeClient, folder: Path) -> Trial:
    """Open a sampled task that waits for commitments."""
    work = Round(3)
    schedule = task_pb2.SCHEDULE_PERMUTATION
    campaign = Campaign(node, network.chain, work, schedule=schedule, max_samples=SAMPLES)
    await campaign.upload()
    await campaign.open()
    terms = campaign.task(commit_window_ms=30_000, reveal_window_ms=4_000)
    min_deposit = network.nodes[0].home.genesis().parameters.commit_deposit
    deposit = compute_deposit(min_deposit, terms.prices.mining, winner_takes_all=False)
    truth = await real_utility(folder, work)
    opening = await (await wallet_on(node, campaign.server)).submit(terms)
    await node.wait_until_final(opening.hash)
    return Trial(node, terms, opening.hash, deposit, truth)


async def lie_while_miners_commit(trial: Trial) -> None:
    """Reveal too early; commit without a bond, with another deposit or to another task."""
    careful, deposit, opening = trial.careful, trial.deposit, trial.honest.build_opening()
    assert await careful.reveal(opening) == "TOO_EARLY"
    assert await careful.reveal(trial.honest.prove([0, 1])) == "TOO_EARLY"
    assert await trial.stranger.commit(opening, deposit) == "NOT_A_MINER"
    assert await careful.commit(opening, deposit - 1) == "WRONG_DEPOSIT"
    unknown = Liar(trial.node, CAREFUL, trial.terms, bytes(32))
    assert await unknown.commit(opening, deposit) == "UNKNOWN_TASK"
    assert await trial.liar(CAREFUL, attempt=1).commit(opening, deposit) == "TOO_EARLY"


async def commit_all(trial: Trial) -> None:
    refusals = await asyncio.gather(
        trial.careful.commit(trial.honest.build_opening(), trial.deposit),
        trial.inventor.commit(trial.invented.build_opening(), trial.deposit),
        trial.adder.commit(trial.wrong_sums(), trial.deposit),
        trial.silent.commit(trial.silent.tree(trial.truth).build_opening(), trial.deposit),
    )
    assert list(refusals) == [""] * 4


async def lie_while_commitments_are_opened(trial: Trial) -> None:
    """Commit too late; open with another salt, other sums or without a commitment."""
    careful, opening = trial.careful, trial.honest.build_opening()
    assert await careful.commit(opening, trial.deposit) == "TOO_LATE"
    assert await careful.reveal(trial.honest.prove([0, 1])) == "TOO_EARLY"
    assert await careful.reveal(opening, salt=b"t" * 32) == "WRONG_OPENING"
    assert await careful.reveal(opening, salt=b"t" * 31) == "BAD_HASH"
    assert await careful.reveal(opening, attempt=1) == "TOO_EARLY"
    assert await careful.reveal(trial.invented.build_opening()) == "WRONG_OPENING"
    more = trial.honest.build_opening()
    more.samples = 1_000_000
    assert await careful.reveal(more) == "WRONG_OPENING"
    cluttered = trial.honest.prove([0])
    del cluttered.leaves[:]
    assert await careful.reveal(cluttered) == "WRONG_SIBLINGS"
    assert await trial.stranger.reveal(opening) == "NOT_COMMITTED"


async def open_all_but_the_silent(trial: Trial) -> None:
    refusals = await asyncio.gather(
        trial.careful.reveal(trial.honest.build_opening()),
        trial.inventor.reveal(trial.invented.build_opening()),
        trial.adder.reveal(trial.wrong_sums()),
    )
    assert list(refusals) == [""] * 3
    assert await trial.careful.reveal(trial.honest.build_opening()) == "ALREADY_REVEALED"


async def lie_while_leaves_are_revealed(trial: Trial, view: TaskView) -> None:
    """Reveal other leaves than those that the commitment and the challenge ask for."""
    good = trial.careful.proof(trial.honest, view)
    for change, codes in LIES.items():
        assert await trial.careful.reveal(changed(good, change)) in codes, change.__name__
    assert await trial.careful.reveal(good, salt=b"t" * 32) == "WRONG_OPENING"
    assert await trial.inventor.reveal(good) == "WRONG_OPENING"
    assert await trial.stranger.reveal(good) == "NOT_COMMITTED"
    silent = trial.silent
    assert await silent.reveal(silent.proof(silent.tree(trial.truth), view)) == "NOT_OPENED"
    wrong = trial.adder.proof(trial.added, view)
    assert await trial.adder.reveal(wrong) == "WRONG_OPENING"
    wrong.total[:] = trial.wrong_sums().total
    assert await trial.adder.reveal(wrong) == "WRONG_TOTAL"
    # The invented evidence is consistent; only evaluating the leaves again shows that it is wrong.
    invented = trial.inventor.proof(trial.invented, view)
    assert await trial.inventor.reveal(invented) == "AUDIT_FAILED"
    assert await trial.careful.reveal(good) == ""
    assert await trial.careful.reveal(good) == "ALREADY_REVEALED"


def check_only_the_honest_reveal_is_paid(trial: Trial, view: TaskView) -> None:
    check_paid(view)
    miners = {miner.address: miner for miner in view.miners}
    careful, *liars = (
        miners[liar.address] for liar in (trial.careful, trial.inventor, trial.adder, trial.silent)
    )
    assert careful.revealed
    assert not any(liar.revealed or liar.reward for liar in liars)


async def test_each_lie_is_refused_and_costs_the_deposit(network: Network, tmp_path: Path) -> None:
    async with network.nodes[0].client() as node:
        trial = await begin(network, node, tmp_path)
        await lie_while_miners_commit(trial)
        await commit_all(trial)
        view = await reached(node, trial.task_id, "CHALLENGE")
        assert [miner.committed for miner in view.miners] == [True] * 5
        # One miner stays silent, so this phase and the next last until their windows end.
        await lie_while_commitments_are_opened(trial)
        await open_all_but_the_silent(trial)
        view = await reached(node, trial.task_id, "REVEAL")
        await lie_while_leaves_are_revealed(trial, view)
        late = trial.inventor.proof(trial.invented, view)
        view = await reached(node, trial.task_id, "SETTLED")
        assert await trial.inventor.reveal(late) == "TOO_LATE"
        check_only_the_honest_reveal_is_paid(trial, view)
        payments = await node.list_payments(trial.task_id)
        burned = [p.amount for p in payments if p.kind == PAYMENT_KIND_DEPOSIT_BURNED]
        assert burned == 3 * [trial.deposit]
