from __future__ import annotations

from fedcoin.contract.queries import task_queries
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import SETTLED, LedgerCampaign
from tests.support.ledger_chain import LedgerChain


def test_campaigns_and_tasks_come_the_latest_first(job: LedgerCampaign, store: ChainStore) -> None:
    page = task_queries.list_campaigns(store, 1)
    assert len(page.items) == 1
    assert page.next is not None
    rest = task_queries.list_campaigns(store, 5, page.next)
    assert [c.campaign_id for c in rest.items] == [job.campaign_id.hex()]
    assert rest.next is None
    one = rest.items[0]
    assert one == task_queries.get_campaign(store, job.campaign_id)
    assert (one.rounds, one.last_round, one.budget, one.escrow) == (2, 1, 10 * FDC, 5 * FDC)
    assert (one.requester, one.server) == tuple(format_address(k.address) for k in (ALICE, BOB))
    assert (one.closed, one.open_task_id) == (False, "")
    assert task_queries.get_campaign(store, b"\1" * 32) is None
    tasks = task_queries.list_tasks(store, 10)
    assert [t.task_id for t in tasks.items][1] == job.task_id.hex()
    assert tasks.next is None
    mine = task_queries.list_tasks(store, 10, campaign_id=job.campaign_id)
    assert [t.task_id for t in mine.items] == [job.task_id.hex()]
    first = task_queries.list_tasks(store, 1)
    assert first.items == tasks.items[:1]
    assert task_queries.list_tasks(store, 1, first.next).items == tasks.items[1:]
    still_open = task_queries.list_tasks(store, 10, open_only=True)
    assert still_open.items == tasks.items[:1]
    assert not task_queries.list_tasks(store, 10, open_only=True, campaign_id=job.campaign_id).items
    before = store.index.find_transaction(bytes.fromhex(tasks.items[0].task_id))
    assert not task_queries.list_tasks(store, 10, before, open_only=True).items


def test_a_task_lists_its_payments(job: LedgerCampaign, store: ChainStore) -> None:
    chain = job.chain
    view = task_queries.get_task(store, job.task_id)
    assert view is not None
    assert (view.round, view.phase, view.attempt) == (1, SETTLED, 0)
    assert view.campaign_id == job.campaign_id.hex()
    assert (view.evaluation_size, view.difficulty_nano) == (100, 20_000_000)
    assert view.prices == job.terms.prices
    assert [c.address for c in view.clients] == [format_address(c.address) for c in job.clients]
    assert [c.num_samples for c in view.clients] == [100] * 3
    assert [c.shapley_nano for c in view.clients] == [50_000_000, 100_000_000, -30_000_000]
    assert [c.payout for c in view.clients] == [chain.balance(c) for c in job.clients]
    assert [m.address for m in view.miners] == [format_address(m.address) for m in chain.miners]
    assert [m.revealed for m in view.miners] == [False, True, True]
    assert all(m.committed for m in view.miners)
    assert sum(m.reward for m in view.miners) == job.terms.prices.mining
    inliers = [m for m in view.miners if m.reward]
    assert view.winner in {m.address for m in inliers}
    assert [(m.inlier, m.evaluations, m.power) for m in inliers] == [(True, 8, 10 * FDC)] * 2
    assert view.total_power == 30 * FDC
    assert view.server == format_address(BOB.address)
    assert view.challenge == job.task.challenge.hex()
    assert (view.opened_height, view.closed_height) == (2, job.task.closed_height)
    (open_task,) = task_queries.list_tasks(store, 10, open_only=True).items
    assert [c.payout for c in open_task.clients] == [0, 0, 0]
    assert not open_task.miners
    assert open_task.winner == ""
    assert task_queries.get_task(store, b"\1" * 32) is None


def test_memory_and_store_give_the_same_views(job: LedgerCampaign, store: ChainStore) -> None:
    chain = LedgerChain.create(3)
    for block, certificate in zip(job.chain.blocks, job.chain.certificates, strict=True):
        chain.add(block, certificate)
    assert task_queries.get_task(chain.state, job.task_id) == task_queries.get_task(
        store, job.task_id
    )
    assert task_queries.get_campaign(chain.state, job.campaign_id) == task_queries.get_campaign(
        store, job.campaign_id
    )
