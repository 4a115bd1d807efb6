"""Transactions that arrive while a thread writes a block that opens or ends their task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.tasks import room_rent
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.transaction_pb2 import CommitShapley
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.ledger_campaign import COMMIT, FAILED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)
SHORT = {"commit_window_ms": 2_000, "reveal_window_ms": 2_000, "max_attempts": 1}


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LedgerChain:
    """A chain in a real store, with room for one open task."""
    monkeypatch.setattr(room_rent, "MAX_OPEN_TASKS", 1)
    return LedgerChain.create(balance=10_000 * FDC, folder=tmp_path)


def add_while_writing(
    chain: LedgerChain, block: Block, pool: Mempool, arriving: Sequence[Transaction]
) -> set[tuple[Transaction, object]]:
    """Commit a block as `Chain` does; these arrive when it is written, and before it is adopted.

    Returns the transactions that the block made impossible, with the codes.
    """
    certificate, execution = chain.certify(block), chain.check(block)
    assert chain.store is not None
    chain.ledger.hold([execution])
    chain.store.append(block, certificate, execution.receipts, execution.changes)
    for transaction in arriving:
        assert pool.add(transaction, chain.ledger, chain.height, chain.time_ms + 1)
    chain.ledger.adopt(execution)
    chain.blocks.append(block)
    chain.certificates.append(certificate)
    done = execution.transactions
    dropped = pool.after_block(done, chain.ledger, chain.height, chain.time_ms + 1)
    return {(one.transaction, one.reason.code) for one in dropped}


def test_a_commitment_to_a_task_that_the_block_ends(chain: LedgerChain) -> None:
    ending, rich = LedgerCampaign(chain), LedgerCampaign(chain)
    ending.open_campaign(rounds=1, budget=10)
    ending.open_task(**SHORT)
    rich.open_campaign(rounds=1, budget=1_000 * FDC)
    miner, pool, late = chain.miners[0], Mempool(), SHORT["commit_window_ms"]
    while not chain.ledger.execute(chain.context(after_ms=late), []).receipts:
        chain.produce()
    commitment = ending.commit(miner, ending.tree(miner, GAME))
    displacing = chain.sign(rich.server, rich.task_terms())
    block = chain.draft(after_ms=late)
    dropped = add_while_writing(chain, block, pool, [commitment, displacing])
    assert ending.task.phase == FAILED
    assert dropped == {(commitment, LedgerCode.TOO_LATE)}
    assert chain.produce(*pool.candidates()).transactions == (displacing,)


def test_a_task_that_would_displace_the_one_that_the_block_opens(chain: LedgerChain) -> None:
    """Its record was looked for before: what memory knows of it is that there is none."""
    cheap, rich = LedgerCampaign(chain), LedgerCampaign(chain, server=ALICE)
    cheap.open_campaign(rounds=1, budget=10)
    rich.open_campaign(rounds=1, budget=1_000 * FDC)
    displacing = chain.sign(rich.server, rich.task_terms())
    cheap.terms = cheap.task_terms()
    opening = chain.sign(cheap.server, cheap.terms)
    cheap.task_id = opening.hash
    pool, block = Mempool(), chain.draft(opening)
    with pytest.raises(RefusalError, match="there is no task"):
        chain.ledger.check(
            chain.sign(chain.miners[0], CommitShapley(task_id=cheap.task_id)), chain.height, 1
        )
    assert not add_while_writing(chain, block, pool, [displacing])
    assert cheap.task.phase == COMMIT
    assert chain.produce(*pool.candidates()).transactions == (displacing,)
