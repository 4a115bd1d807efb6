"""The ledger's facade: execute, build, adopt and prove blocks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.transition import SupplyError
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext, ResultCache
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.contract.state.state_tree import StateTree, verify_entry
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.receipts import decode_receipt, receipts_root
from fedcoin.data.messages.transactions import Transaction
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain, refused
from tests.support.transfers import transfer_to


@pytest.fixture
def chain() -> LedgerChain:
    return LedgerChain.create(2)


def pay(chain: LedgerChain, amount: int = FDC, ahead: int = 0) -> Transaction:
    return chain.sign(ALICE, transfer_to((BOB.address, amount)), ahead=ahead)


def test_genesis_fixes_the_supply(chain: LedgerChain) -> None:
    assert chain.ledger.total_supply() == chain.genesis.supply == 2 * 10 * FDC + 4 * 1_000 * FDC
    assert chain.ledger.totals().supply == chain.genesis.supply
    assert len(chain.ledger.validators()) == len(chain.ledger.last_validators()) == 2
    assert chain.ledger.next_deadline_ms() is None
    assert not chain.ledger.needs_block()
    assert chain.balance(b"\1" * 20) == 0
    entries = {k: v for k, v in genesis_changes(chain.genesis).items() if v is not None}
    assert chain.ledger.app_hash == StateTree.load(entries.items()).root


def test_executing_changes_nothing_until_it_is_adopted(chain: LedgerChain) -> None:
    before = chain.ledger.app_hash
    context = chain.context()
    execution = chain.ledger.execute(context, [pay(chain)])
    assert chain.ledger.app_hash == before
    assert chain.ledger.execute(context, [pay(chain)]).app_hash == execution.app_hash
    chain.memory.apply(execution.changes)
    chain.ledger.adopt(execution)
    assert chain.ledger.app_hash == execution.app_hash
    assert chain.ledger.app_hash == Ledger(chain.state, chain.genesis).app_hash


def test_a_refusal_says_which_transaction(chain: LedgerChain) -> None:
    bad = pay(chain, amount=0, ahead=1)
    with refused(LedgerCode.ZERO_AMOUNT, "transactions[1].outputs[0].amount"):
        chain.ledger.execute(chain.context(), [pay(chain), bad])


def test_receipts_are_one_a_transaction_in_order(chain: LedgerChain) -> None:
    transactions = [pay(chain), pay(chain, ahead=1), chain.sign(BOB, transfer_to((b"\1" * 20, 1)))]
    execution = chain.produce(*transactions)
    receipts = [decode_receipt(raw).transaction for raw in execution.receipts]
    assert [(r.hash, r.sender, r.fee) for r in receipts] == [
        (t.hash, t.sender, t.body.fee) for t in transactions
    ]
    assert execution.receipts_root == receipts_root(execution.receipts)


def test_building_takes_what_applies_in_its_order(chain: LedgerChain) -> None:
    gap = pay(chain, ahead=2)
    bad = chain.sign(BOB, transfer_to((ALICE.address, 10_000 * FDC)))
    candidates = [pay(chain), bad, gap, pay(chain, ahead=1)]
    built = chain.ledger.build(chain.context(), candidates, 1 << 20)
    assert built.transactions == (candidates[0], candidates[3])
    assert [(t, r.code) for t, r in built.refused] == [
        (bad, LedgerCode.INSUFFICIENT_BALANCE),
        (gap, LedgerCode.NONCE_TOO_HIGH),
    ]
    again = chain.ledger.execute(chain.context(), built.transactions)
    assert again.app_hash == built.execution.app_hash
    assert again.receipts == built.execution.receipts


def test_building_stays_within_the_size_of_a_block() -> None:
    chain = LedgerChain.create(2, max_block_bytes=16_384, max_transaction_bytes=8_000)
    chain.produce()
    candidates = [pay(chain, ahead=i) for i in range(150)]
    built = chain.ledger.build(chain.context(), candidates, 16_384)
    assert 40 < len(built.transactions) < 150
    assert built.transactions == tuple(candidates[: len(built.transactions)])
    # A transaction that did not fit is not refused; it waits, with its sender's later ones.
    assert not built.refused
    block = chain.draft(*built.transactions)
    assert 15_000 < len(block.raw) <= 16_384
    wide = chain.sign(ALICE, transfer_to(*[(BOB.address, 1)] * 250))
    narrow = chain.sign(BOB, transfer_to((ALICE.address, 1)))
    built = chain.ledger.build(chain.context(), [wide, pay(chain, ahead=1), narrow], 2_000)
    assert built.transactions == (narrow,)


def test_a_supply_that_changes_stops_the_block(
    chain: LedgerChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No rule creates coins. If one did, its block would be refused."""

    def careless(self: ExecutionContext, address: bytes, amount: int) -> None:
        account = self.account(address)
        account.balance += amount + 1
        self.put_account(address, account)

    monkeypatch.setattr(ExecutionContext, "credit", careless)
    with pytest.raises(SupplyError):
        chain.ledger.execute(chain.context(), [pay(chain)])


def test_an_account_can_be_proved_from_a_header(chain: LedgerChain) -> None:
    chain.produce(pay(chain))
    name = records.ACCOUNTS.prefix + BOB.address
    value = chain.state.get(name)
    proof = chain.ledger.prove(name)
    assert value is not None
    assert proof is not None
    assert chain.header is not None
    assert verify_entry(name, value, proof, chain.header.app_hash)
    assert chain.ledger.prove(b"account/nobody") is None


def test_two_nodes_with_different_pasts_in_memory_agree(tmp_path: Path) -> None:
    """One node keeps its ledger, one restarts before each block, one has a real store."""
    kept, stored = LedgerChain.create(3), LedgerChain.create(3, folder=tmp_path)
    restarted = LedgerChain.create(3)
    job = LedgerCampaign(kept)
    job.open_campaign()
    job.open_task()
    job.settle({m: additive(5, -2, 9) for m in kept.miners}, withheld=kept.miners[:1])
    for block, certificate in zip(kept.blocks, kept.certificates, strict=True):
        restarted.ledger = Ledger(restarted.state, restarted.genesis)
        for chain in (restarted, stored):
            chain.add(block, certificate)
    assert kept.ledger.app_hash == restarted.ledger.app_hash == stored.ledger.app_hash
    assert stored.store is not None
    stored.store.close()
    reopened = LedgerChain.create(3, folder=tmp_path)
    assert reopened.ledger.app_hash == kept.ledger.app_hash
    assert reopened.ledger.total_supply() == kept.genesis.supply
    assert reopened.store is not None
    reopened.store.close()


def test_a_result_cache_is_bounded_and_keeps_no_refusal() -> None:
    cache = ResultCache(max_results=2)
    computed: list[int] = []

    def compute(value: int) -> int:
        computed.append(value)
        return value

    for value in (1, 2, 1, 2, 3, 2, 1):
        assert cache.get_or_compute(value, partial(compute, value)) == value
    assert computed == [1, 2, 3, 1]

    def fail() -> int:
        raise RefusalError(LedgerCode.ZERO_AMOUNT, "nothing")

    for _ in range(2):
        with pytest.raises(RefusalError):
            cache.get_or_compute("refused", fail)


def test_many_accounts_load_and_a_full_block_executes() -> None:
    """Quadratic execution would take a hundred times longer."""
    chain = LedgerChain.create(1)
    crowd = {records.ACCOUNTS.prefix + sha256(b"%d" % i)[:20]: b"\x10\x01" for i in range(20_000)}
    chain.memory.apply({})
    entries = dict(chain.memory.scan(b"")) | crowd
    state = MemoryState(entries)
    chain.memory = chain.state = state
    chain.ledger = Ledger(state, chain.genesis)
    outputs = [(sha256(b"%d" % i)[:20], 1) for i in range(250)]
    wide = [chain.sign(ALICE, transfer_to(*outputs), ahead=i) for i in range(8)]
    chain.produce(*wide)
    assert chain.balance(outputs[0][0]) == 8
