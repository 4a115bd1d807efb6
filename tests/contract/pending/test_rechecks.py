"""After a block, the mempool checks again what the block may have affected, and nothing else."""

from __future__ import annotations

import pytest

from fedcoin.contract.actions import equivocation
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import PREVOTE, Vote, decode_vote, sign_vote
from fedcoin.v1.transaction_pb2 import Bond, ReportEquivocation, Unbond
from fedcoin.v1.vote_pb2 import SignedVote
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

REPORTERS = tuple(f"user {i}" for i in range(6))


class Reported:
    """A chain on which one validator has signed conflicting votes, and all users report it."""

    def __init__(self) -> None:
        self.chain = LedgerChain.create(3, users=("alice", "bob", *REPORTERS))
        self.chain.produce()
        self.pool = Mempool()
        first, second = (
            sign_vote(PREVOTE, 1, 0, sha256(name), self.offender, self.chain.genesis.hash).envelope
            for name in (b"a", b"b")
        )
        report = ReportEquivocation(first=first, second=second)
        self.reports = [self.chain.sign(key_of(name), report) for name in REPORTERS]
        for transaction in self.reports:
            chain = self.chain
            self.pool.add(transaction, chain.ledger, chain.height, chain.time_ms + 1)

    @property
    def offender(self) -> KeyPair:
        return self.chain.miners[0]

    def produce(self, *transactions: Transaction, after_ms: int = 10) -> set[object]:
        """Make a block; give the codes of the transactions that it made impossible."""
        chain = self.chain
        done = chain.produce(*transactions, after_ms=after_ms).transactions
        dropped = self.pool.after_block(done, chain.ledger, chain.height, chain.time_ms + 1)
        return {drop.reason.code for drop in dropped}


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys of all votes whose signatures reports had verified."""
    keys: list[bytes] = []

    def decode(envelope: SignedVote, genesis_hash: bytes) -> Vote:
        keys.append(envelope.public_key)
        return decode_vote(envelope, genesis_hash)

    monkeypatch.setattr(equivocation, "decode_vote", decode)
    return keys


@pytest.mark.attack
def test_reports_that_wait_cost_a_block_nothing_unless_the_bond_changes(
    verified: list[bytes], report_attack: ReportAttack
) -> None:
    made = Reported()
    chain = made.chain
    assert len(verified) == 2 * len(REPORTERS)
    verified.clear()
    for _ in range(3):
        made.produce(chain.sign(ALICE, transfer_to((BOB.address, 1))))
    assert not verified
    # Another validator's bond does not matter, nor does it how large the reported one is.
    made.produce(chain.sign(chain.miners[1], Bond(amount=FDC)))
    made.produce(chain.sign(chain.miners[0], Bond(amount=FDC)))
    made.produce(chain.sign(chain.miners[0], Unbond(amount=FDC)))
    assert not verified
    assert made.produce(made.reports[0]) == {LedgerCode.ALREADY_SLASHED}
    assert len(made.pool) == 0
    report_attack(
        "have 10,000 reports of one validator wait, with fees too low for the blocks of now",
        "each node checks all of them after each block, or each that raises the bond: 7 s",
        "they are checked again when the bond is no longer at stake, and dropped when it burns",
    )


def test_reports_that_came_after_a_change_are_followed_too(verified: list[bytes]) -> None:
    made = Reported()
    chain = made.chain
    made.pool.remove(made.reports[0].hash)
    made.produce(chain.sign(chain.miners[0], Bond(amount=FDC)))
    verified.clear()
    made.pool.add(made.reports[0], chain.ledger, chain.height, chain.time_ms + 1)
    made.produce()
    assert len(verified) == 2
    assert made.produce(made.reports[1]) == {LedgerCode.ALREADY_SLASHED}
    assert len(made.pool) == 0


def test_reports_leave_when_the_reported_bond_has_returned() -> None:
    made = Reported()
    chain = made.chain
    bond = chain.ledger.validators().by_address(made.offender.address)
    assert bond is not None
    assert made.produce(chain.sign(made.offender, Unbond(amount=bond.power))) == set()
    assert len(made.pool) == len(REPORTERS)
    unbonding_ms = chain.genesis.parameters.unbonding_ms
    assert made.produce(after_ms=unbonding_ms) == {LedgerCode.NOT_SLASHABLE}
    assert len(made.pool) == 0
