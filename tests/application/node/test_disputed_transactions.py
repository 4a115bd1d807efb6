"""After a round without an agreement, a proposer leaves out the transactions in dispute."""

from __future__ import annotations

from fedcoin.application.node.disputed_transactions import (
    FIRST_ROUND_WITHOUT_AUDITS,
    leave_out_disputed,
    leaves_out_reveals,
)
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceLeaf
from fedcoin.v1.task_pb2 import OpenTask
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley, TransactionBody
from tests.support.genesis import CHAIN_ID, GENESIS_HASH
from tests.support.keys import ALICE, BOB, MINERS
from tests.support.sample_blocks import make_header
from tests.support.transfers import sign_transfer


def sign(sender: KeyPair, nonce: int = 0, **action: object) -> Transaction:
    body = TransactionBody(chain_id=CHAIN_ID, nonce=nonce, fee=1, expiry_height=9, **action)  # type: ignore[arg-type]
    return sign_transaction(body, sender, GENESIS_HASH)


TRANSFER = sign_transfer(0)
COMMIT = sign(MINERS[0], commit_shapley=CommitShapley())
LEAVES = Evidence(leaves=[EvidenceLeaf()])
REVEAL = sign(MINERS[1], reveal_shapley=RevealShapley(evidence=LEAVES))
LATER_REVEAL = sign(MINERS[2], reveal_shapley=RevealShapley(evidence=LEAVES))
OPENING = sign(MINERS[3], reveal_shapley=RevealShapley())
TASK = sign(BOB, open_task=OpenTask())
ALL = [TRANSFER, COMMIT, REVEAL, LATER_REVEAL, TASK, OPENING]


def failed(*transactions: Transaction) -> Block:
    return build_block(make_header(1, bytes(32)), b"", [tx.raw for tx in transactions])


def test_in_the_first_round_nothing_is_left_out() -> None:
    assert leave_out_disputed(ALL, [], 0) == ALL


def test_audited_transactions_of_failed_blocks_are_left_out_and_nothing_else() -> None:
    blocks = [failed(TRANSFER, COMMIT, REVEAL, OPENING), failed(TASK)]
    assert leave_out_disputed(ALL, blocks, 1) == [TRANSFER, COMMIT, LATER_REVEAL, OPENING]


def test_a_sender_s_later_transactions_are_left_out_with_a_disputed_one() -> None:
    later = sign(MINERS[1], 1, commit_shapley=CommitShapley())
    assert leave_out_disputed([REVEAL, later, COMMIT], [failed(REVEAL)], 1) == [COMMIT]


def test_late_rounds_hold_nothing_that_is_audited() -> None:
    assert leave_out_disputed(ALL, [], FIRST_ROUND_WITHOUT_AUDITS - 1) == ALL
    assert leave_out_disputed(ALL, [], FIRST_ROUND_WITHOUT_AUDITS) == [TRANSFER, COMMIT, OPENING]
    assert ALICE.address == TRANSFER.sender


def test_a_block_says_that_reveals_are_left_out_and_nothing_of_other_transactions() -> None:
    assert not leaves_out_reveals(ALL, ALL)
    assert not leaves_out_reveals(ALL, [REVEAL, LATER_REVEAL])
    assert leaves_out_reveals(ALL, [TRANSFER, COMMIT, LATER_REVEAL, TASK, OPENING])
