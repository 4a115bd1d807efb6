"""Hostile evidence through the whole contract, as a transaction that any account could send.

The liar committed to the evidence that it shows, so the commitment check passes, and the rules of
evidence must find the fault in little time and memory. 100,000 such mutations go straight to
`verify_evidence` in tests/incentive/proof/test_evidence.py.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import compute_commitment
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceLeaf, EvidenceNode
from fedcoin.v1.transaction_pb2 import RevealShapley
from tests.support.evidence_mutations import single_mutations
from tests.support.keys import key_of
from tests.support.ledger_campaign import REVEAL, LedgerCampaign, additive, salt
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 3, 1, 0, 2)
LEAVES = 6

EVIDENCE = {code for code in IncentiveCode if code is not IncentiveCode.AUDIT_FAILED}
LEDGER = {LedgerCode.TOO_LATE, LedgerCode.WRONG_OPENING, LedgerCode.NOT_OPENED}


class Liar:
    """A miner that may reveal, and may have committed to any evidence."""

    def __init__(self, schedule: int) -> None:
        clients = sorted((key_of(f"client {i}") for i in range(5)), key=lambda k: k.address)
        self.job = job = LedgerCampaign(
            LedgerChain.create(2, challenge_leaves=LEAVES), clients=clients
        )
        job.open_campaign()
        exact = schedule == task_pb2.SCHEDULE_EXACT
        most = 0 if exact else 50
        sampling = task_pb2.Sampling(schedule=schedule, max_samples=most)  # type: ignore[arg-type]
        job.open_task(sampling=sampling)
        self.miner = job.chain.miners[0]
        trees = {miner: job.tree(miner, GAME, samples=40) for miner in job.chain.miners}
        job.chain.produce(*(job.commit(miner, tree) for miner, tree in trees.items()))
        job.open_all(trees)
        assert job.task.phase == REVEAL
        tree = trees[self.miner]
        due = draw_challenged_leaves(
            job.task.challenge, self.miner.public_key, tree.samples, LEAVES
        )
        self.honest = tree.prove(due)

    def reveal(self, evidence: Evidence) -> Transaction:
        """Return the transaction that reveals evidence, after making the commitment fit."""
        job, miner = self.job, self.miner
        try:
            fitting = compute_commitment(evidence, salt(miner), job.task_id, 0, miner.address)
        except (RefusalError, OverflowError):
            fitting = bytes(32)
        record = job.chain.miner(job.task_id, miner)
        assert record is not None
        record.commitment = fitting
        overlay = Overlay(job.chain.memory)
        records.MINERS.put(overlay, job.task_id, miner.address, record=record)
        job.chain.memory.apply(overlay.changes())
        action = RevealShapley(task_id=job.task_id, salt=salt(miner), evidence=evidence)
        return job.chain.sign(miner, action)

    def check(self, transaction: Transaction) -> None:
        """Check it as mempool, proposer and voter do."""
        chain = self.job.chain
        raw = decode_transaction(transaction.raw, self.job.chain.genesis.identity)
        chain.ledger.check(raw, chain.height, chain.time_ms + 1)


@pytest.fixture(
    scope="module",
    params=[
        task_pb2.SCHEDULE_EXACT,
        task_pb2.SCHEDULE_PERMUTATION,
        task_pb2.SCHEDULE_ANTITHETIC,
    ],
    ids=["exact", "permutation", "antithetic"],
)
def liar(request: pytest.FixtureRequest) -> Liar:
    return Liar(request.param)


def refused(liar: Liar, evidence: Evidence) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        liar.check(liar.reveal(evidence))
    refusal = caught.value
    assert refusal.code in EVIDENCE | LEDGER, refusal.code
    assert refusal.field
    assert len(refusal.message) < 1_000
    return refusal


def test_the_honest_reveal_passes(liar: Liar) -> None:
    liar.check(liar.reveal(liar.honest))


def fuzz(liar: Liar, strategy: st.SearchStrategy[Evidence], cases: int) -> None:
    """Check that each of `cases` mutations is refused, and that there were so many."""
    seen = 0

    @given(strategy)
    @settings(max_examples=cases, deadline=None)
    def run(evidence: Evidence) -> None:
        nonlocal seen
        refused(liar, evidence)
        seen += 1

    run()
    assert seen >= cases


def test_mutations(liar: Liar) -> None:
    fuzz(liar, single_mutations(liar.honest), 100)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_many_mutations(liar: Liar) -> None:
    fuzz(liar, single_mutations(liar.honest), 12_000)


INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)])
UINT64 = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 40, 63, 64, 2**32, 2**63, 2**64 - 1])
UINT32 = st.integers(0, 2**32 - 1) | st.integers(0, 101)
ANY = st.builds(
    Evidence,
    root=st.binary(min_size=32, max_size=32) | st.binary(max_size=40),
    samples=UINT64,
    total=st.lists(INT64, min_size=5, max_size=5) | st.lists(INT64, max_size=8),
    grand_count=UINT32,
    empty_count=UINT32,
    leaves=st.lists(
        st.builds(EvidenceLeaf, index=UINT64, utilities=st.lists(UINT32, max_size=12)),
        min_size=LEAVES,
        max_size=LEAVES,
    ),
    siblings=st.lists(
        st.builds(
            EvidenceNode,
            hash=st.binary(min_size=32, max_size=32),
            sum=st.lists(INT64, min_size=5, max_size=5),
        ),
        max_size=20,
    ),
)


def test_evidence_made_of_anything(liar: Liar) -> None:
    fuzz(liar, ANY, 60)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_much_evidence_made_of_anything(liar: Liar) -> None:
    fuzz(liar, ANY, 3_000)


def largest(change: Callable[[Evidence], Any]) -> Callable[[Liar], Evidence]:
    def make(liar: Liar) -> Evidence:
        evidence = Evidence.FromString(liar.honest.SerializeToString())
        change(evidence)
        return evidence

    return make


@cache
def encoded_leaves() -> bytes:
    """An Evidence with 100,000 leaves, encoded once."""
    leaves = [EvidenceLeaf(index=i, utilities=[1]) for i in range(100_000)]
    return Evidence(leaves=leaves).SerializeToString()


def many_leaves(evidence: Evidence) -> None:
    evidence.MergeFromString(encoded_leaves())


def one_long_leaf(evidence: Evidence) -> None:
    evidence.leaves[0].utilities.extend([1] * 900_000)


def many_siblings(evidence: Evidence) -> None:
    evidence.siblings.extend([EvidenceNode(hash=bytes(32), sum=[1] * 5) for _ in range(20_000)])


def one_long_sum(evidence: Evidence) -> None:
    evidence.siblings[0].sum.extend([1] * 900_000)


def long_total(evidence: Evidence) -> None:
    evidence.total.extend([1] * 900_000)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (many_leaves, IncentiveCode.WRONG_LEAVES),
        (one_long_leaf, IncentiveCode.WRONG_LEAVES),
        (many_siblings, IncentiveCode.WRONG_SIBLINGS),
        (one_long_sum, IncentiveCode.MALFORMED),
        (long_total, IncentiveCode.MALFORMED),
    ],
)
def test_a_full_transaction_costs_little(
    liar: Liar, change: Callable[[Evidence], Any], code: IncentiveCode
) -> None:
    evidence = largest(change)(liar)
    transaction = liar.reveal(evidence)
    assert 500_000 < len(transaction.raw) < 1 << 22
    chain = liar.job.chain
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(RefusalError) as caught:
            chain.ledger.check(transaction, chain.height, chain.time_ms + 1)
    finally:
        used, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert caught.value.code is code
    # The refusal looks at lengths only; tracing memory makes it several times slower.
    assert used < 1.0
    assert peak < 1 << 25


def test_an_oversized_message_is_refused_unread(liar: Liar) -> None:
    evidence = largest(many_leaves)(liar)
    many_leaves(evidence)
    with pytest.raises(RefusalError) as caught:
        decode_transaction(liar.reveal(evidence).raw, liar.job.chain.genesis.identity)
    assert caught.value.code is DataCode.TOO_LARGE


@pytest.mark.parametrize("schedule", [1, 2, 3])
@pytest.mark.parametrize("clients", [0, 1, 16, 17, 65, 1_000, 1_001, 10**6, 2**63])
def test_any_number_of_clients(schedule: int, clients: int) -> None:
    """A plan for any number of clients is made or refused within 256 KiB of memory."""
    exact = schedule == task_pb2.SCHEDULE_EXACT
    fine = 1 <= clients <= (16 if exact else 1_000)
    most = 0 if exact else 10
    arguments = (schedule, clients, 100, 0, most, sha256(b"task"), sha256(b"key"))
    tracemalloc.start()
    try:
        if fine:
            assert SamplingPlan(*arguments).leaf_length >= 1
        else:
            with pytest.raises(RefusalError) as caught:
                SamplingPlan(*arguments)
            assert caught.value.code is IncentiveCode.BAD_PLAN
            assert caught.value.field == "clients"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 18


@pytest.mark.parametrize(
    ("clients", "code"),
    [
        (0, LedgerCode.NO_CLIENTS),
        (65, LedgerCode.TOO_MANY_CLIENTS),
        (129, LedgerCode.TOO_MANY_CLIENTS),
    ],
)
def test_a_task_of_too_few_or_too_many_clients(clients: int, code: Any) -> None:
    names = sorted((key_of(f"client {i}") for i in range(clients)), key=lambda k: k.address)
    job = LedgerCampaign(LedgerChain.create(1), clients=names)
    job.open_campaign()
    opening = job.chain.sign(job.server, job.task_terms())
    with pytest.raises(RefusalError) as caught:
        job.chain.ledger.check(opening, job.chain.height, job.chain.time_ms + 1)
    assert caught.value.code is code
