"""Transactions that this node cannot audit for now, and those that it found unsound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.errors import IncentiveCode
from tests.support.keys import ALICE
from tests.support.local_chain import LocalChain
from tests.support.transfers import transfer_to
from tests.support.waiting import let_others_run, until


class AuditInTurn:
    """Gives one answer after the other; None accepts."""

    def __init__(self, *answers: RefusalError | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def check_transaction(self, transaction: Transaction) -> None:
        """Give the next answer."""
        self.asked += 1
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


UNKNOWN = RefusalError(ApplicationCode.PROCESS_FAILED, "the worker died", field="reveal_shapley")
FALSE = RefusalError(IncentiveCode.AUDIT_FAILED, "leaf 3 is wrong", field="evidence")


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalChain]:
    local = LocalChain(tmp_path)
    yield local
    await local.close()


def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transfers be audited, so that no task is needed."""
    module = "fedcoin.application.node.transaction_intake.is_judged"
    monkeypatch.setattr(module, lambda transaction: True)


def relay(local: LocalChain, audit: AuditInTurn) -> tuple[TransactionIntake, Transaction]:
    pool = local.with_pool(audit)
    transaction = local.sign(ALICE, transfer_to((ALICE.address, 5)))
    assert pool.add_relayed(transaction)
    return pool, transaction


async def test_what_cannot_be_audited_waits_and_is_audited_again_after_the_next_block(
    local: LocalChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch)
    audit = AuditInTurn(UNKNOWN, None)
    pool, transaction = relay(local, audit)
    await until(lambda: audit.asked == 1)
    await let_others_run()
    assert pool.waiting() == [transaction]
    assert pool.ready() == []
    assert audit.asked == 1, "not again at once"
    await local.produce()
    await until(lambda: pool.ready() == [transaction])
    assert audit.asked == 2


async def test_what_is_unsound_is_dropped_and_not_audited_again(
    local: LocalChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch)
    audit = AuditInTurn(FALSE)
    pool, transaction = relay(local, audit)
    await until(lambda: not pool.waiting())
    with pytest.raises(RefusalError) as caught:
        pool.add_relayed(transaction)
    assert caught.value.code is IncentiveCode.AUDIT_FAILED
    assert audit.asked == 1


async def test_a_wallet_that_is_refused_finds_its_transaction_gone(
    local: LocalChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch)
    pool = local.with_pool(AuditInTurn(UNKNOWN))
    with pytest.raises(RefusalError) as caught:
        await pool.submit(local.sign(ALICE, transfer_to((ALICE.address, 5))))
    assert caught.value.code is ApplicationCode.PROCESS_FAILED
    assert pool.waiting() == []
