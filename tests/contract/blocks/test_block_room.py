"""A block has room for a limited number of new entries and of steps, and leaves the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fedcoin.contract.actions.open_tasks import TASK_ENTRIES
from fedcoin.contract.actions.transfers import MAX_OUTPUTS
from fedcoin.contract.blocks.transition import apply_transaction
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.block_room import (
    BOND_ENTRIES,
    ENTRIES_PER_DISPLACED_MINER,
    ENTRIES_PER_POWER,
    STEPS_PER_ANSWER,
    compute_max_entries,
)
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.parameters import PARAMETER_RANGES, Parameters
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import PREVOTE, sign_vote
from fedcoin.v1.transaction_pb2 import (
    Bond,
    RegisterReceipt,
    ReportEquivocation,
    Transfer,
    TransferOutput,
)
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.receipt_campaign import WINDOW, registering
from tests.support.transfers import transfer_to

SMALL: dict[str, Any] = {
    "max_block_bytes": 1 << 16,
    "max_transaction_bytes": 1 << 14,
    "max_clients": 16,
    "max_validators": 4,
}
NAMES = ("alice", "bob", *(f"user {i}" for i in range(6)))
USERS = [key_of(name) for name in NAMES]


def to_new(chain: LedgerChain, count: int = MAX_OUTPUTS) -> Iterator[Transaction]:
    """Sign transfers to new accounts, one by each user."""
    for i, user in enumerate(USERS):
        recipients = (sha256(b"new %d %d" % (i, j))[:20] for j in range(count))
        outputs = [TransferOutput(recipient=recipient, amount=1) for recipient in recipients]
        yield chain.sign(user, Transfer(outputs=outputs))


def test_one_transaction_of_any_kind_fits_under_all_parameters() -> None:
    for clients in PARAMETER_RANGES["max_clients"]:
        for miners in PARAMETER_RANGES["max_validators"]:
            rules = Parameters(max_block_bytes=16_384, max_clients=clients, max_validators=miners)
            room = compute_max_entries(rules)
            assert room >= MAX_OUTPUTS
            assert room >= ENTRIES_PER_POWER
            opened = TASK_ENTRIES + clients + miners
            assert room >= opened + clients + ENTRIES_PER_DISPLACED_MINER * miners
    assert compute_max_entries(Parameters()) == 4_096


@pytest.mark.attack
def test_a_builder_leaves_entries_for_later_blocks_and_a_validator_refuses_more(
    report_attack: ReportAttack,
) -> None:
    chain = LedgerChain.create(users=NAMES, **SMALL)
    assert compute_max_entries(chain.genesis.parameters) == 2 * MAX_OUTPUTS
    dear = list(to_new(chain))
    # A full mempool of dear transactions does not keep out what adds no entries.
    cheap = chain.sign(key_of("miner 0"), transfer_to((BOB.address, FDC)))
    one_more = chain.sign(key_of("miner 1"), transfer_to((sha256(b"one more")[:20], FDC)))
    built = chain.ledger.build(chain.context(), [*dear, one_more, cheap], 1 << 16)
    assert built.transactions == (*dear[:2], cheap)
    assert not built.refused
    with refused(LedgerCode.BLOCK_FULL, "transactions[2].action"):
        chain.ledger.execute(chain.context(), dear[:3])
    with refused(LedgerCode.BLOCK_FULL, "transactions[2].action"):
        chain.produce(*dear[:2], one_more)
    # The mempool's check of one transaction counts no others.
    assert chain.ledger.check_all(dear, chain.height, chain.time_ms + 10) == [None] * len(dear)
    for start in range(0, len(dear), 2):
        waiting = [*dear[start:], one_more]
        built = chain.ledger.build(chain.context(), waiting, 1 << 16)
        assert built.transactions == tuple(dear[start : start + 2])
        assert chain.produce(*built.transactions).app_hash == built.execution.app_hash
    chain.produce(one_more)
    report_attack(
        "fill a block with transfers that open 256 accounts each",
        "79,000 accounts in a block, which takes more than twice what it may take",
        f"{compute_max_entries(Parameters()):,} in a block, for 2 FDC; transfers between accounts"
        " and miners' messages go in beside them",
    )


def test_a_dropped_transaction_gives_its_room_back() -> None:
    chain = LedgerChain.create(users=NAMES, **SMALL)
    first, second, third, *_ = to_new(chain)
    poor = chain.sign(
        key_of("miner 0"), Transfer(outputs=[*third.body.transfer.outputs] * 1), nonce=7
    )
    outputs = [TransferOutput(recipient=sha256(b"a %d" % i)[:20], amount=FDC) for i in range(9)]
    outputs[-1].amount = 2_000 * FDC
    broke = chain.sign(key_of("miner 1"), Transfer(outputs=outputs))
    built = chain.ledger.build(chain.context(), [poor, broke, first, second], 1 << 16)
    assert built.transactions == (first, second)
    assert [transaction for transaction, _ in built.refused] == [poor, broke]


def test_bonds_of_newcomers_take_room() -> None:
    chain = LedgerChain.create(users=NAMES, **SMALL)
    context = chain.ledger.new_context(chain.context())
    context.room.entries = 3 * BOND_ENTRIES - 1
    for i, user in enumerate(USERS[:2]):
        apply_transaction(context, chain.sign(user, Bond(amount=(20 + i) * FDC)))
    with refused(LedgerCode.BLOCK_FULL):
        apply_transaction(context, chain.sign(USERS[2], Bond(amount=30 * FDC)))


def sign_reports(chain: LedgerChain, by: list[KeyPair]) -> list[Transaction]:
    """Sign a report of the first miner's conflicting votes by each of several senders."""
    first, second = (
        sign_vote(PREVOTE, 2, 0, sha256(name), chain.miners[0], chain.genesis.hash).envelope
        for name in (b"a", b"b")
    )
    report = ReportEquivocation(first=first, second=second)
    return [chain.sign(sender, report) for sender in by]


@pytest.mark.attack
def test_a_full_room_keeps_out_no_report(report_attack: ReportAttack) -> None:
    chain = LedgerChain.create(users=NAMES, **SMALL)
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    dear, reports = list(to_new(chain))[:3], sign_reports(chain, USERS[3:])
    built = chain.ledger.build(chain.context(), [*dear, *reports], 1 << 16)
    assert built.transactions == (*dear[:2], reports[0])
    codes = {refusal.code for _, refusal in built.refused}
    assert (len(built.refused), codes) == (len(reports) - 1, {LedgerCode.ALREADY_SLASHED})
    assert chain.produce(*built.transactions).app_hash == built.execution.app_hash
    report_attack(
        "fill the room for entries, while 10,000 senders report one validator that all open tasks"
        " count on",
        "no report goes in, and each proposer executes all of them: 6 ms each, a minute together",
        "the first report goes in, and the others are refused by a look at the validator's bond",
    )


def test_a_block_holds_a_limited_number_of_reports() -> None:
    chain = LedgerChain.create(users=NAMES, **SMALL)
    chain.produce()
    chain.produce()
    report, *_ = sign_reports(chain, [ALICE])
    context = chain.ledger.new_context(chain.context())
    context.room.reports = 1
    fork = context.fork()
    apply_transaction(fork, report)
    # Before its votes are looked at, so that those that wait cost a builder nothing.
    with refused(LedgerCode.BLOCK_FULL, "action"):
        apply_transaction(fork, chain.sign(BOB, ReportEquivocation()))
    # A fork that is dropped gives the room back.
    apply_transaction(context, report)


def test_receipts_take_room_and_are_left_before_their_signatures_are_verified() -> None:
    chain = LedgerChain.create(users=NAMES)
    job = LedgerCampaign(chain, sorted(USERS[:3], key=lambda key: key.address))
    job.open_campaign(receipt_window_ms=WINDOW)
    context = chain.ledger.new_context(chain.context())
    context.room.entries = 2
    for client in job.clients[:2]:
        apply_transaction(context, registering(job, client))
    forged = chain.sign(job.clients[2], RegisterReceipt())
    with refused(LedgerCode.BLOCK_FULL, "action"):
        apply_transaction(context, forged)


def test_a_block_holds_a_limited_number_of_steps() -> None:
    chain = LedgerChain.create()
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task(sampling=job.sampled(2))
    trees = {miner: job.tree(miner, additive(1, 2, 3), 2) for miner in chain.miners}
    for sign, phase in ((job.commit, COMMIT), (job.open, CHALLENGE), (job.reveal, REVEAL)):
        assert job.task.phase == phase
        steps = [sign(miner, tree) for miner, tree in trees.items()]
        context = chain.ledger.new_context(chain.context())
        context.room.steps = 3 * STEPS_PER_ANSWER if phase == REVEAL else 3
        for step in steps[:3]:
            apply_transaction(context, step)
        # Other transactions need no such room.
        apply_transaction(context, chain.sign(ALICE, transfer_to((BOB.address, 1))))
        with refused(LedgerCode.BLOCK_FULL, "action"):
            apply_transaction(context.fork(), steps[3])
        chain.produce(*steps)
