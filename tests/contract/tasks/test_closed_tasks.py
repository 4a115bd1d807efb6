"""What remains of a closed task in the state."""

from __future__ import annotations

import pytest

from fedcoin.contract.queries import task_queries
from fedcoin.contract.state import records
from fedcoin.contract.tasks.settlement import client_addresses
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.data.messages.updates import decode_update
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask, Sampling
from tests.support.keys import key_of
from tests.support.ledger_campaign import FAILED, SETTLED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


def job_of(client_addresses: int) -> LedgerCampaign:
    """Return a campaign with its first round's task open."""
    keys = sorted((key_of(f"client {i}") for i in range(client_addresses)), key=lambda k: k.address)
    job = LedgerCampaign(LedgerChain.create(2), clients=keys)
    job.open_campaign()
    sampling = Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=100)
    job.open_task(**({} if client_addresses <= 12 else {"sampling": sampling}), max_attempts=1)
    return job


def held(job: LedgerCampaign) -> int:
    """Return the size in bytes of all entries of a task."""
    tables = (records.TASKS, records.TERMS, records.MINERS)
    state = job.chain.state
    return sum(len(k) + len(v) for t in tables for k, v in state.scan(t.prefix + job.task_id))


def kept_terms(job: LedgerCampaign) -> OpenTask:
    terms = records.TERMS.get(job.chain.state, job.task_id)
    assert terms is not None
    return terms


@pytest.mark.parametrize(("clients_", "most"), [(10, 2_000), (100, 10_000)])
def test_a_settled_task_is_small(clients_: int, most: int) -> None:
    job = job_of(clients_)
    before = task_queries.get_task(job.chain.state, job.task_id)
    assert kept_terms(job) == job.terms
    job.settle(dict.fromkeys(job.chain.miners, additive(*(n % 2 for n in range(clients_)))))
    assert held(job) < most
    # Everything that queries return is still there.
    after = task_queries.get_task(job.chain.state, job.task_id)
    assert before is not None
    assert after is not None
    told = [(c.address, c.num_samples, c.update) for c in after.clients]
    assert told == [(c.address, c.num_samples, c.update) for c in before.clients]
    assert sum(c.payout for c in after.clients) == job.terms.prices.training
    assert client_addresses(kept_terms(job)) == client_addresses(job.terms)
    assert job.task.phase == SETTLED


def test_the_block_has_the_clients_signatures() -> None:
    job = job_of(3)
    job.settle(dict.fromkeys(job.chain.miners, additive(5, 10, -3)))
    for update in kept_terms(job).updates:
        assert not update.signature
        assert not ClientUpdate.FromString(update.body).campaign_id
    (raw,) = job.chain.blocks[job.task.opened_height - 1].transactions
    opened = decode_transaction(raw, job.chain.genesis.identity)
    assert opened.hash == job.task_id
    for envelope, client in zip(opened.body.open_task.updates, job.clients, strict=True):
        assert decode_update(envelope, job.chain.genesis.hash).address == client.address


def test_a_failed_task_is_small_too() -> None:
    job = job_of(3)
    while not job.task.closed_height:
        job.chain.produce(after_ms=job.terms.commit_window_ms)
    assert job.task.phase == FAILED
    assert not any(update.signature for update in kept_terms(job).updates)
    assert client_addresses(kept_terms(job)) == client_addresses(job.terms)
