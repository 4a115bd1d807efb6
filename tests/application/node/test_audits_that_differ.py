"""Validators that audit one transaction with different results, in real voting.

Transfers by Alice stand for transactions that validators audit; others need no audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.learning.workers.worker_slot import overdue_error
from tests.conftest import ReportAttack
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire
from tests.support.keys import ALICE, MINERS
from tests.support.node_core import NoAudit, make_network_genesis
from tests.support.transfers import sign_transfer
from tests.support.waiting import until

FALSE = RefusalError(IncentiveCode.AUDIT_FAILED, "leaf 3 is wrong", field="evidence")
UNKNOWN = RefusalError(ApplicationCode.PROCESS_FAILED, "the worker died", field="reveal_shapley")


class Audit(NoAudit):
    """Gives one answer about every transaction of Alice; None accepts."""

    def __init__(self, answer: RefusalError | None) -> None:
        self.answer = answer

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Give the answer if Alice sent one of the transactions."""
        for transaction in transactions:
            await self.check_transaction(transaction)

    async def check_transaction(self, transaction: Transaction) -> None:
        """Give the answer if Alice sent the transaction."""
        if self.answer is not None and is_of_alice(transaction):
            raise self.answer


def is_of_alice(transaction: Transaction) -> bool:
    return transaction.sender == ALICE.address


@pytest.fixture(autouse=True)
def audited(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("disputed_transactions", "transaction_intake"):
        monkeypatch.setattr(f"fedcoin.application.node.{module}.is_judged", is_of_alice)


def start(folder: Path, *answers: RefusalError | None) -> list[InMemoryNode]:
    """Four validators, each with its audit."""
    genesis, wire = make_network_genesis(), InMemoryWire()
    members = [
        InMemoryNode(wire, genesis, folder / f"{i}.sqlite", key, audit=Audit(answer))
        for i, (key, answer) in enumerate(zip(MINERS, answers, strict=True))
    ]
    for member in members:
        member.start()
    return members


def nums_of(sender: KeyPair, members: list[InMemoryNode]) -> set[int]:
    """How many transactions of a sender are final on each node."""
    return {member.chain.ledger.account(sender.address).nonce for member in members}


async def submit(member: InMemoryNode, nonce: int, sender: KeyPair = ALICE) -> None:
    """Submit a transfer for the node's network."""
    genesis_hash = member.chain.genesis.hash
    await member.pool.submit(sign_transfer(nonce, sender=sender, genesis_hash=genesis_hash))


async def stop(members: list[InMemoryNode]) -> None:
    blocks = {member.chain.block(1).raw for member in members}  # type: ignore[union-attr]
    assert len(blocks) == 1
    for member in members:
        await member.stop()


async def test_two_auditors_answer_for_two_that_cannot_audit(tmp_path: Path) -> None:
    members = start(tmp_path, None, None, UNKNOWN, UNKNOWN)
    await submit(members[0], 0)
    await until(lambda: nums_of(ALICE, members) == {1})
    await stop(members)


@pytest.mark.attack
async def test_flooded_validators_do_not_vote_against_an_honest_reveal(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """Their workers were ended, since the machines had too much to do."""
    flooded = overdue_error("while evaluating coalitions of job 12", 300.0)
    members = start(tmp_path, None, None, flooded, flooded)
    await submit(members[0], 0)
    await until(lambda: nums_of(ALICE, members) == {1})
    await stop(members)
    report_attack(
        "flood two of four validators until their workers miss the time in which they must have"
        " audited a reveal",
        "both vote against the honest reveal, as if it were forged, and go on for as long as they"
        " remember the job: its miner loses the deposit",
        "they say that they could not audit it (`OVERDUE`), follow the two that did, and try again"
        " ten minutes later",
    )


async def test_one_auditor_that_finds_something_else_follows_the_others(tmp_path: Path) -> None:
    members = start(tmp_path, None, None, None, FALSE)
    await submit(members[0], 0)
    await until(lambda: nums_of(ALICE, members) == {1})
    await stop(members)


@pytest.mark.attack
async def test_what_too_few_can_audit_waits_and_the_chain_goes_on(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """One of four could be faulty, and the other one that audited found something else."""
    members = start(tmp_path, None, FALSE, UNKNOWN, UNKNOWN)
    await submit(members[0], 0)
    sender = MINERS[1]
    for nonce in range(4):
        await submit(members[1], nonce, sender)
        await until(lambda n=nonce + 1: nums_of(sender, members) == {n})  # type: ignore[misc]
    assert nums_of(ALICE, members) == {0}
    assert members[0].pool.waiting(), "it is tried again at the next height"
    await stop(members)
    report_attack(
        "a proposer puts a transaction into a block that only some validators can audit",
        "the chain halts",
        "the transaction waits, and others become final",
    )
