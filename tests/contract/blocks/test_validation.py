"""The rules for a block that follows the latest one."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.contract.blocks.validation import check_clock, compute_clock_bound
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.v1.block_pb2 import BlockHeader, Settlement
from fedcoin.v1.transaction_pb2 import Bond, SignedTransaction
from tests.support.genesis import FDC, GENESIS_MS
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.transfers import transfer_to

OTHER = sha256(b"something else")


@pytest.fixture
def chain() -> LedgerChain:
    chain = LedgerChain.create(4)
    for _ in range(3):
        chain.produce()
    return chain


def pay(chain: LedgerChain, amount: int = FDC, ahead: int = 0) -> Any:
    return chain.sign(ALICE, transfer_to((BOB.address, amount)), ahead=ahead)


def test_a_good_block_is_executed(chain: LedgerChain) -> None:
    block = chain.draft(pay(chain))
    execution = chain.check(block)
    assert execution.app_hash == block.header.app_hash
    assert [t.raw for t in execution.transactions] == list(block.transactions)
    # Checking a block changes nothing.
    assert chain.check(block).app_hash == execution.app_hash
    assert chain.ledger.app_hash != execution.app_hash


@pytest.mark.parametrize(
    ("code", "field", "header"),
    [
        (DataCode.WRONG_CHAIN, "header.chain_id", {"chain_id": "another-chain"}),
        (LedgerCode.WRONG_HEIGHT, "header.height", {"height": 3}),
        (LedgerCode.WRONG_HEIGHT, "header.height", {"height": 5}),
        (LedgerCode.WRONG_PARENT, "header.parent_hash", {"parent_hash": OTHER}),
        (LedgerCode.WRONG_TIME, "header.time_ms", {"time_ms": GENESIS_MS}),
        (LedgerCode.WRONG_TIME, "header.time_ms", {"time_ms": GENESIS_MS + 30}),
        (LedgerCode.WRONG_PROPOSER, "header.proposer", {"proposer": ALICE.address}),
        (LedgerCode.WRONG_RECEIPTS_ROOT, "header.receipts_root", {"receipts_root": OTHER}),
        (LedgerCode.WRONG_APP_HASH, "header.app_hash", {"app_hash": OTHER}),
        (
            LedgerCode.WRONG_VALIDATORS_HASH,
            "header.next_validators_hash",
            {"next_validators_hash": OTHER},
        ),
        (
            LedgerCode.WRONG_SETTLEMENT,
            "header.settlement",
            {"settlement": Settlement(task_id=OTHER, winner=ALICE.address)},
        ),
    ],
)
def test_a_header_that_is_wrong_is_refused(
    chain: LedgerChain, code: Any, field: str, header: dict[str, Any]
) -> None:
    block = chain.draft(pay(chain), **header)
    before = chain.ledger.app_hash
    with refused(code, field):
        chain.check(block)
    assert chain.ledger.app_hash == before


def test_the_first_blocks_parent_is_genesis() -> None:
    chain = LedgerChain.create(1)
    with refused(LedgerCode.WRONG_TIME, "header.time_ms"):
        chain.check(chain.draft(time_ms=GENESIS_MS))
    with refused(LedgerCode.WRONG_PARENT, "header.parent_hash"):
        chain.check(chain.draft(parent_hash=OTHER))
    good = chain.draft()
    certified = build_block(good.header, b"\1", ())
    with refused(LedgerCode.UNEXPECTED_CERTIFICATE, "last_certificate"):
        chain.check(certified)
    chain.check(good)


def test_a_time_too_far_ahead_of_a_voter_s_clock_is_no_part_of_validity(
    chain: LedgerChain,
) -> None:
    drift = chain.genesis.parameters.max_clock_drift_ms
    block = chain.draft(after_ms=100_000)
    now = block.header.time_ms - drift
    check_clock(block.header, chain.header, chain.genesis, now)
    with refused(LedgerCode.TIME_TOO_FAR_AHEAD, "header.time_ms") as caught:
        check_clock(block.header, chain.header, chain.genesis, now - 1)
    assert format_address(block.header.proposer) in str(caught.value)
    chain.check(block)


def test_the_clock_s_bound_grows_with_the_round_up_to_nine_times(chain: LedgerChain) -> None:
    bounds = [compute_clock_bound(1_000, round) for round in (0, 1, 2, 16, 17, 10**9)]
    assert bounds == [1_000, 1_500, 2_000, 9_000, 9_000, 9_000]
    drift = chain.genesis.parameters.max_clock_drift_ms
    block = chain.draft(after_ms=100_000, round=1)
    now = block.header.time_ms - drift * 3 // 2
    check_clock(block.header, chain.header, chain.genesis, now)
    with refused(LedgerCode.TIME_TOO_FAR_AHEAD):
        check_clock(block.header, chain.header, chain.genesis, now - 1)


def test_a_block_as_early_as_its_parent_allows_is_never_too_far_ahead(chain: LedgerChain) -> None:
    """Else a parent from a proposer whose clock was ahead would stop the chain for a while."""
    long_ago = chain.time_ms - 3_600_000
    earliest, later = chain.draft(after_ms=1), chain.draft(after_ms=2)
    check_clock(earliest.header, chain.header, chain.genesis, long_ago)
    with refused(LedgerCode.TIME_TOO_FAR_AHEAD):
        check_clock(later.header, chain.header, chain.genesis, long_ago)


def test_a_block_names_the_proposer_of_its_own_round(chain: LedgerChain) -> None:
    """And it was built for the round of its proposal or certificate, or for an earlier one."""
    blocks = [chain.draft(round=round) for round in range(4)]
    proposers = [block.header.proposer for block in blocks]
    assert len(set(proposers)) == 4
    for built, block in enumerate(blocks):
        for round in range(4):
            if built <= round:
                chain.check(block, round=round)
            else:
                with refused(LedgerCode.WRONG_BLOCK_ROUND, "header.round"):
                    chain.check(block, round=round)
        chain.check(block, round=10**9)
        for proposer in {*proposers, ALICE.address} - {block.header.proposer}:
            misnamed = chain.draft(round=built, proposer=proposer)
            for round in (built, 3, 10**9):
                with refused(LedgerCode.WRONG_PROPOSER, "header.proposer"):
                    chain.check(misnamed, round=round)


def altered(block: Block, certificate: bytes) -> Block:
    return build_block(block.header, certificate, block.transactions)


def test_the_parent_s_certificate_must_be_one(chain: LedgerChain) -> None:
    good = chain.draft()
    last = chain.blocks[-1]
    two = chain.certify(last, signers=2)
    three = chain.certify(last, signers=3)
    before = chain.certificates[-2]
    for certificate in (b"", b"\1\2\3", two, before, good.last_certificate[:-1]):
        with refused(ConsensusCode.BAD_CERTIFICATE):
            chain.check(altered(good, certificate))
    # Another valid certificate for the parent is accepted: signers and round may differ.
    chain.check(altered(good, three))
    chain.check(altered(good, chain.certify(last, round=7)))


def test_the_certificate_is_signed_by_the_parents_validators() -> None:
    chain = LedgerChain.create(2, bonds=[FDC, FDC])
    chain.keys[ALICE.address] = ALICE
    # From the next height on, Alice alone has more than two thirds of the power.
    block = chain.draft(chain.sign(ALICE, Bond(amount=100 * FDC)))
    chain.add(block, chain.certify(block))
    vote = sign_vote(PRECOMMIT, block.height, 0, block.hash, ALICE, chain.genesis.hash)
    with refused(ConsensusCode.BAD_CERTIFICATE):
        chain.check(altered(chain.draft(), make_certificate([vote])))
    chain.produce()
    # Alice has decided one block.
    latest = chain.blocks[-1]
    vote = sign_vote(PRECOMMIT, latest.height, 0, latest.hash, ALICE, chain.genesis.hash)
    chain.check(altered(chain.draft(), make_certificate([vote])))


def test_one_bad_transaction_makes_the_block_bad(chain: LedgerChain) -> None:
    good, twice = pay(chain), pay(chain)
    block = chain.draft(good)
    forged = SignedTransaction.FromString(good.raw)
    forged.signature = bytes(64)
    for code, field, raws in (
        (LedgerCode.NONCE_TOO_LOW, "transactions[1].nonce", [good.raw, twice.raw]),
        (DataCode.BAD_SIGNATURE, "transactions[0].signature", [forged.SerializeToString()]),
        (DataCode.MALFORMED, None, [good.raw, b"\xff\xff"]),
    ):
        crowded = build_block(block.header, block.last_certificate, raws)
        with refused(code, field):
            chain.check(crowded)


def test_a_decoder_that_knows_transactions_is_used(chain: LedgerChain) -> None:
    block = chain.draft(pay(chain))
    seen: list[bytes] = []

    def decode(raw: bytes) -> Any:
        seen.append(raw)
        return decode_transaction(raw, chain.genesis.identity)

    chain.check(block, decode=decode)
    assert seen == list(block.transactions)


def test_a_block_over_the_limit_is_refused() -> None:
    chain = LedgerChain.create(1, max_block_bytes=16_384, max_transaction_bytes=4_096)
    chain.produce()
    many = [pay(chain, ahead=i) for i in range(120)]
    block = chain.draft(*many)
    assert len(block.raw) > 16_384
    with refused(DataCode.TOO_LARGE):
        chain.check(block)


def test_a_wrong_settlement_is_refused() -> None:
    job = LedgerCampaign(LedgerChain.create(2))
    job.open_campaign()
    job.open_task()
    job.run({m: additive(3, 2, 1) for m in job.chain.miners})
    chain = job.chain
    block = chain.draft()
    assert block.header.settlement.task_id == job.task_id
    dearer = Settlement()
    dearer.CopyFrom(block.header.settlement)
    dearer.mean_shapley_nano[0] += 1
    silent = BlockHeader()
    silent.CopyFrom(block.header)
    silent.ClearField("settlement")
    wrong = [
        chain.draft(settlement=dearer),
        build_block(silent, block.last_certificate, block.transactions),
    ]
    for bad in wrong:
        with refused(LedgerCode.WRONG_SETTLEMENT, "header.settlement"):
            chain.check(bad)
    empty = BlockHeader()
    empty.CopyFrom(silent)
    empty.settlement.CopyFrom(Settlement(task_id=OTHER, winner=ALICE.address))
    with refused(LedgerCode.WRONG_SETTLEMENT, "header.settlement"):
        chain.check(build_block(empty, block.last_certificate, block.transactions))
    chain.produce()
