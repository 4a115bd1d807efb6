"""The blocks of censoring and grinding proposers, on a chain with real openings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcoin.application.node.chain import Chain
from fedcoin.contract.blocks.validation import check_clock
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.testing.dishonest.dishonest_proposals import (
    MAX_TRIES,
    exclude_rivals,
    grind_block,
    quorum_subsets,
)
from fedcoin.testing.dishonest.node_components import dishonest_components
from fedcoin.v1.vote_pb2 import Certificate
from tests.conftest import ReportAttack
from tests.support.keys import ALICE
from tests.support.ledger_campaign import CHALLENGE, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.transfers import transfer_to

WINDOW_MS = 10_000
MOST_BYTES = 1 << 20


@pytest.fixture
def job(tmp_path: Path) -> Iterator[LedgerCampaign]:
    """An EXACT task to which four miners committed, on a chain with a store."""
    job = LedgerCampaign(LedgerChain.create(4, folder=tmp_path))
    assert job.chain.store is not None
    job.open_campaign()
    job.open_task()
    job.chain.produce(*(job.commit(m, job.tree(m, GAME)) for m in job.chain.miners))
    assert job.task.phase == CHALLENGE
    yield job
    job.chain.store.close()


GAME = additive(30, 20, 0)


def node_chain(kind: str, job: LedgerCampaign) -> Chain:
    """Make the chain of a dishonest node over the job's store, with a clock 10 ms ahead."""
    store = job.chain.store
    assert store is not None

    def clock() -> int:
        return job.chain.time_ms + 10

    components = dishonest_components(kind, job.chain.miners[0])
    return components.make_chain(store, job.chain.ledger, clock)


def openings(job: LedgerCampaign, *miners: KeyPair) -> list[Transaction]:
    return [job.open(miner, job.tree(miner, GAME)) for miner in miners]


def test_a_censor_leaves_out_other_miners_only(job: LedgerCampaign) -> None:
    own, *rivals = job.chain.miners
    payment = job.chain.sign(ALICE, transfer_to((own.address, 1)))
    ready = [*openings(job, *rivals), payment, *openings(job, own)]
    chosen = exclude_rivals(ready, own.address)
    assert chosen == ready[-2:]


@pytest.mark.attack
def test_all_blocks_that_a_grinder_tries_fix_one_challenge(
    job: LedgerCampaign, report_attack: ReportAttack
) -> None:
    chain = job.chain
    context = chain.context()
    candidates = openings(job, *chain.miners)
    certificates = quorum_subsets(context.last_certificate, chain.ledger.last_validators())
    assert len(certificates) == 4, "three of four precommits are a quorum"
    ground = grind_block(chain.ledger, context, candidates, MOST_BYTES, certificates)
    honest = grind_block(chain.ledger, context, candidates, MOST_BYTES)
    # The unchanged block, the certificates, three other times, and each choice of four openings.
    assert ground.tries in (1 + 4 + 3 + 15, 1 + 4 + 3 + 15 - 1)
    assert ground.challenges == honest.challenges == 1
    report_attack(
        "a proposer tries certificates, times and choices of openings (`challenge-grinder`)",
        "no more than now",
        f"{ground.challenges} challenge in {ground.tries} blocks",
    )


def test_a_grinder_prefers_an_open_challenge_to_one_that_it_loses(job: LedgerCampaign) -> None:
    """Doing so delays the task by one turn; the next proposer includes all openings."""
    chain = job.chain
    candidates = openings(job, *chain.miners)
    found = set()
    for own in chain.miners:
        context = chain.context()
        context = type(context)(
            context.height, context.time_ms, own.address, context.last_certificate
        )
        ground = grind_block(chain.ledger, context, candidates, MOST_BYTES)
        found.add(len(ground.built.transactions))
    # The winning miner includes all four openings; the three others leave one out.
    assert found == {3, 4}


def test_leaving_openings_out_gives_a_choice_only_after_the_window(job: LedgerCampaign) -> None:
    """By then an honest proposer had its turn, so a missing miner withheld its salt itself."""
    chain = job.chain
    first, *others = chain.miners
    chain.produce(*openings(job, *others), after_ms=WINDOW_MS)
    assert job.task.phase == CHALLENGE, "a window lasts for more blocks than there are faulty"
    ground = grind_block(chain.ledger, chain.context(), openings(job, first), MOST_BYTES)
    assert ground.challenges == 2
    assert ground.tries <= MAX_TRIES


async def test_a_censoring_node_builds_blocks_without_other_miners(job: LedgerCampaign) -> None:
    own, *rivals = job.chain.miners
    payment = job.chain.sign(ALICE, transfer_to((own.address, 1)))
    ready = [*openings(job, *rivals), payment, *openings(job, own)]
    round = next(r for r in range(4) if job.chain.ledger.proposer(r).address == own.address)
    draft = await node_chain("censor", job).build(own.address, ready, round)
    assert list(draft.block.transactions) == [tx.raw for tx in ready[-2:]]
    assert draft.refused == ()
    assert draft.block.header.time_ms == job.chain.time_ms + 10
    job.chain.check(draft.block, round=round)


async def test_a_hasty_censor_sets_its_time_as_far_ahead_as_voters_accept(
    job: LedgerCampaign,
) -> None:
    own = job.chain.miners[0]
    draft = await node_chain("hasty-censor", job).build(own.address, [])
    now = job.chain.time_ms + 10
    assert draft.block.header.time_ms == now + job.chain.genesis.parameters.max_clock_drift_ms
    header, genesis = draft.block.header, job.chain.genesis
    check_clock(header, job.chain.header, genesis, now)
    with refused(LedgerCode.TIME_TOO_FAR_AHEAD):
        check_clock(header, job.chain.header, genesis, now - 1)


async def test_a_grinding_node_builds_valid_blocks(
    job: LedgerCampaign, caplog: pytest.LogCaptureFixture
) -> None:
    chain = node_chain("challenge-grinder", job)
    candidates = openings(job, *job.chain.miners)
    for round in range(4):
        own = chain.ledger.proposer(round)
        draft = await chain.build(own.address, candidates, round)
        assert len(draft.block.transactions) in (3, 4)
        await chain.check(draft.block, round)
    assert caplog.text.count("blocks: 1 challenge") == 4
    empty = await chain.build(job.chain.miners[0].address, [])
    assert empty.block.transactions == ()


async def test_a_misnaming_node_builds_blocks_that_no_voter_accepts(job: LedgerCampaign) -> None:
    chain = node_chain("misnaming-proposer", job)
    proposers = [chain.ledger.proposer(round).address for round in range(4)]
    for round, own in enumerate(proposers):
        draft = await chain.build(own, [], round)
        assert draft.block.header.proposer in {*proposers} - {own}
        for voted in (round, 10**9):
            with refused(LedgerCode.WRONG_PROPOSER):
                await chain.check(draft.block, voted)


def test_without_openings_a_grinder_tries_one_block(job: LedgerCampaign) -> None:
    ground = grind_block(job.chain.ledger, job.chain.context(), [], MOST_BYTES, [b"never used"])
    assert (ground.tries, ground.challenges) == (1, 0)


def test_a_certificate_of_fewer_precommits_makes_the_block_final(job: LedgerCampaign) -> None:
    chain = job.chain
    for certificate in quorum_subsets(chain.certificates[-1], chain.ledger.last_validators()):
        assert len(Certificate.FromString(certificate).precommits) == 3
        block = chain.draft()
        chain.certificates[-1] = certificate
        assert chain.draft().hash != block.hash
        chain.check(chain.draft())
    assert quorum_subsets(b"", chain.ledger.last_validators()) == []
