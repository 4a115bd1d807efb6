"""A miner that cannot take part says so, and the commit window does not wait for it."""

from __future__ import annotations

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.task_queries import get_task
from fedcoin.contract.tasks.frozen_power import read_declined, read_power
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.transaction_pb2 import DeclineTask
from tests.support.ledger_campaign import CHALLENGE, COMMIT, FAILED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)


@pytest.fixture
def job() -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(3))
    job.open_campaign()
    job.open_task()
    return job


def decline(job: LedgerCampaign, miner: KeyPair, attempt: int = 0) -> Transaction:
    return job.chain.sign(miner, DeclineTask(task_id=job.task_id, attempt=attempt))


def test_the_window_closes_when_all_others_have_committed(job: LedgerCampaign) -> None:
    first, second, third = job.chain.miners
    job.chain.produce(*(job.commit(m, job.tree(m, GAME)) for m in (first, second)))
    # Two thirds of the power are no more than two thirds: the window would stay open to its end.
    assert job.task.phase == COMMIT
    job.chain.produce(decline(job, third))
    assert job.task.phase == CHALLENGE


def test_shares_and_totals_stay(job: LedgerCampaign) -> None:
    total = job.task.total_power
    third = job.chain.miners[2]
    job.chain.produce(decline(job, third))
    reader = job.chain.ledger.reader
    assert job.task.total_power == total
    assert read_power(reader, job.task_id)[third.address] == 0
    assert read_declined(reader, job.task_id) == (third.address,)
    view = get_task(reader, job.task_id)
    assert view is not None
    assert list(view.declined) == [format_address(third.address)]


def test_what_is_refused(job: LedgerCampaign) -> None:
    first, second, third = job.chain.miners
    job.chain.refuses(LedgerCode.TOO_EARLY, decline(job, first, attempt=1), field="attempt")
    elsewhere = job.chain.sign(first, DeclineTask(task_id=bytes(32)))
    job.chain.refuses(LedgerCode.UNKNOWN_TASK, elsewhere, field="task_id")
    job.chain.refuses(LedgerCode.NOT_A_MINER, decline(job, job.requester), field="public_key")
    job.chain.produce(decline(job, first), job.commit(second, job.tree(second, GAME)))
    job.chain.refuses(LedgerCode.NOT_A_MINER, decline(job, first), field="public_key")
    job.chain.refuses(LedgerCode.NOT_A_MINER, job.commit(first, job.tree(first, GAME)))
    job.chain.refuses(LedgerCode.ALREADY_COMMITTED, decline(job, second), field="task_id")
    job.chain.produce(job.commit(third, job.tree(third, GAME)))
    assert job.task.phase == CHALLENGE
    job.chain.refuses(LedgerCode.TOO_LATE, decline(job, second), field="attempt")


def test_a_task_that_all_decline_fails_without_waiting(job: LedgerCampaign) -> None:
    opened_ms = job.chain.time_ms
    job.chain.produce(*(decline(job, miner) for miner in job.chain.miners))
    assert (job.task.phase, job.task.attempt) == (COMMIT, 1)
    job.chain.produce()
    assert job.task.phase == FAILED
    assert job.chain.time_ms - opened_ms < job.terms.commit_window_ms
