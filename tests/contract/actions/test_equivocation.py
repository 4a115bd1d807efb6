"""Contradicting votes cost the bond once."""

from __future__ import annotations

import pytest

from fedcoin.contract.actions import equivocation
from fedcoin.contract.blocks.ledger import PendingState
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_vote
from fedcoin.v1 import block_pb2
from fedcoin.v1.transaction_pb2 import Bond, ReportEquivocation, Unbond
from fedcoin.v1.vote_pb2 import SignedVote
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, MINERS
from tests.support.ledger_chain import LedgerChain

MINER = MINERS[0]
DAY_MS = 86_400_000
A, B = sha256(b"a"), sha256(b"b")


@pytest.fixture
def chain() -> LedgerChain:
    chain = LedgerChain.create(3)
    for _ in range(4):
        chain.produce()
    return chain


GENESIS_HASH = LedgerChain.create(3).genesis.hash


def vote(
    hash: bytes,
    *,
    height: int = 3,
    by: KeyPair = MINER,
    kind: int = PREVOTE,
    round: int = 0,
    network: bytes = GENESIS_HASH,
) -> SignedVote:
    return sign_vote(kind, height, round, hash, by, network).envelope


def test_reports_that_wait_rewrite_no_open_task(
    chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of senders may report one key, and their reports be looked at after each block."""

    def rewrite(*arguments: object) -> None:
        raise RuntimeError("tasks are rewritten")

    monkeypatch.setattr(equivocation, "remove_power", rewrite)
    report = chain.sign(ALICE, ReportEquivocation(first=vote(A), second=vote(B)))
    waiting = PendingState(chain.ledger, chain.height)
    assert waiting.apply(report, chain.time_ms + 1) is None
    with pytest.raises(RuntimeError, match="tasks are rewritten"):
        chain.produce(report)


def test_the_whole_bond_is_burned_but_for_the_reporter_s_share(chain: LedgerChain) -> None:
    chain.produce(chain.sign(MINER, Unbond(amount=4 * FDC)))
    report = chain.sign(ALICE, ReportEquivocation(first=vote(A), second=vote(B)))
    before = chain.balance(ALICE)
    execution = chain.produce(report)
    reward = 10 * FDC * 5 // 100
    assert chain.balance(ALICE) == before - report.body.fee + reward
    assert chain.penalties == 10 * FDC - reward
    burned, rewarded = chain.payments()
    assert burned.kind == block_pb2.PAYMENT_KIND_BOND_BURNED
    assert (burned.address, burned.amount) == (MINER.address, 10 * FDC - reward)
    assert rewarded.kind == block_pb2.PAYMENT_KIND_REPORT_REWARD
    assert (rewarded.address, rewarded.amount) == (ALICE.address, reward)
    assert execution.next_validators.by_address(MINER.address) is None
    # Unbonding coins are lost, too.
    assert chain.ledger.next_deadline_ms() is None
    chain.produce(after_ms=DAY_MS)
    assert not chain.payments()


def test_nil_contradicts_a_block_too(chain: LedgerChain) -> None:
    votes = ReportEquivocation(first=vote(A, kind=PRECOMMIT), second=vote(b"", kind=PRECOMMIT))
    chain.produce(chain.sign(ALICE, votes))


@pytest.mark.attack
def test_an_audited_prevote_contradicts_an_unaudited_one_for_the_same_block(
    chain: LedgerChain, report_attack: ReportAttack
) -> None:
    """Peers that see one of them could not agree on whether the block has a polka."""
    audited = sign_vote(PREVOTE, 3, 0, A, MINER, GENESIS_HASH, audited=True).envelope
    chain.refuses(
        LedgerCode.NOT_CONTRADICTING,
        chain.sign(ALICE, ReportEquivocation(first=audited, second=audited)),
        field="second.block_hash",
    )
    chain.produce(chain.sign(ALICE, ReportEquivocation(first=audited, second=vote(A))))
    assert chain.ledger.validators().by_address(MINER.address) is None
    report_attack(
        "a validator tells some that it audited a block, and others that it did not",
        "votes said nothing of audits",
        "loses its bond",
    )


@pytest.mark.attack
def test_a_vote_from_before_a_relaunch_under_the_same_name_costs_nothing(
    chain: LedgerChain, report_attack: ReportAttack
) -> None:
    """Two votes for one height and round are honest if they are of two networks."""
    before = LedgerChain.create(3, base_fee=500).genesis
    assert before.chain_id == chain.genesis.chain_id
    old = sign_vote(PREVOTE, 3, 0, B, MINER, before.hash).envelope
    report = chain.sign(ALICE, ReportEquivocation(first=vote(A), second=old))
    chain.refuses(DataCode.BAD_SIGNATURE, report)
    report_attack(
        "somebody reports a validator's vote from before a relaunch under the same chain id",
        "the bond: 9.5 of 10 FDC burned, 0.5 FDC for the reporter",
        f"nothing: `{DataCode.BAD_SIGNATURE.name}`",
    )


def test_votes_that_do_not_contradict_are_refused(chain: LedgerChain) -> None:
    for second, field in (
        (vote(A), "second.block_hash"),
        (vote(B, height=4), "second.height"),
        (vote(B, round=1), "second.round"),
        (vote(B, kind=PRECOMMIT), "second.kind"),
        (vote(B, by=MINERS[1]), "second.public_key"),
    ):
        report = chain.sign(ALICE, ReportEquivocation(first=vote(A), second=second))
        chain.refuses(LedgerCode.NOT_CONTRADICTING, report, field=field)


def test_forged_votes_are_refused(chain: LedgerChain) -> None:
    forged = vote(B)
    forged.signature = bytes(64)
    report = chain.sign(ALICE, ReportEquivocation(first=vote(A), second=forged))
    chain.refuses(DataCode.BAD_SIGNATURE, report)
    chain.refuses(DataCode.MALFORMED, chain.sign(ALICE, ReportEquivocation(first=vote(A))))


def test_nothing_is_slashed_twice(chain: LedgerChain) -> None:
    report = ReportEquivocation(first=vote(A), second=vote(B))
    chain.produce(chain.sign(ALICE, report))
    again = chain.sign(BOB, ReportEquivocation(first=vote(B), second=vote(A)))
    chain.refuses(LedgerCode.ALREADY_SLASHED, again, field="first.public_key")
    # The key cannot bond again, so that no second pair of votes can be reported.
    back = chain.sign(MINER, Bond(amount=2 * FDC))
    chain.refuses(LedgerCode.ALREADY_SLASHED, back, field="public_key")


def test_only_a_bond_that_was_at_stake_is_slashed(chain: LedgerChain) -> None:
    stranger = BOB
    pair = ReportEquivocation(first=vote(A, by=stranger), second=vote(B, by=stranger))
    chain.refuses(LedgerCode.NOT_SLASHABLE, chain.sign(ALICE, pair), field="first.height")
    chain.keys[stranger.address] = stranger
    chain.produce(chain.sign(stranger, Bond(amount=FDC)))
    # It voted at height 3, before its bond counted.
    chain.refuses(LedgerCode.NOT_SLASHABLE, chain.sign(ALICE, pair), field="first.height")
    ahead = ReportEquivocation(
        first=vote(A, height=chain.height + 2), second=vote(B, height=chain.height + 2)
    )
    chain.refuses(LedgerCode.NOT_SLASHABLE, chain.sign(ALICE, ahead), field="first.height")
    now = ReportEquivocation(
        first=vote(A, height=chain.height + 1), second=vote(B, height=chain.height + 1)
    )
    chain.produce(chain.sign(ALICE, now))


def test_an_unbonded_bond_is_slashable_until_it_has_returned(chain: LedgerChain) -> None:
    chain.produce(chain.sign(MINER, Unbond(amount=10 * FDC)))
    report = ReportEquivocation(first=vote(A), second=vote(B))
    context = chain.context()
    assert chain.ledger.execute(context, [chain.sign(ALICE, report)]).receipts
    chain.produce(after_ms=DAY_MS)
    late = chain.sign(ALICE, report)
    chain.refuses(LedgerCode.NOT_SLASHABLE, late, field="first.height")
    # A later bond is not slashed for earlier votes.
    chain.produce(chain.sign(MINER, Bond(amount=2 * FDC)))
    chain.refuses(LedgerCode.NOT_SLASHABLE, chain.sign(ALICE, report), field="first.height")


def test_a_validator_that_bonds_again_while_unbonding_is_still_slashed(chain: LedgerChain) -> None:
    chain.produce(chain.sign(MINER, Unbond(amount=10 * FDC)))
    chain.produce(chain.sign(MINER, Bond(amount=2 * FDC)))
    report = ReportEquivocation(first=vote(A), second=vote(B))
    chain.produce(chain.sign(ALICE, report))
    bond = records.BONDS.get(chain.state, MINER.address)
    assert bond is not None
    assert bond.slashed
    assert chain.payments()[0].amount == 12 * FDC * 95 // 100


def test_the_last_validator_is_not_slashed() -> None:
    chain = LedgerChain.create(1)
    chain.produce()
    first, second = (vote(hash, height=1, network=chain.genesis.hash) for hash in (A, B))
    report = chain.sign(ALICE, ReportEquivocation(first=first, second=second))
    chain.refuses(LedgerCode.LAST_VALIDATOR, report, field="first.public_key")
