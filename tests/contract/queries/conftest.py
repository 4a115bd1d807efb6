"""A real store with two campaigns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import task_pb2
from fedcoin.v1.transaction_pb2 import Unbond
from tests.support.genesis import FDC
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerCampaign]:
    """Two campaigns: one with a settled round and an open task, one without a task."""
    chain = LedgerChain.create(3, folder=tmp_path_factory.mktemp("queries"))
    job = LedgerCampaign(chain)
    job.open_campaign(rounds=2, mining_reward=task_pb2.MINING_REWARD_PRO_RATA)
    job.open_task()
    miners = chain.miners
    job.settle({m: additive(5, 10, -3) for m in miners}, withheld=miners[:1])
    other = LedgerCampaign(chain)
    other.open_campaign()
    other.open_task()
    chain.produce(chain.sign(miners[1], Unbond(amount=FDC)))
    yield job
    assert chain.store is not None
    chain.store.close()


@pytest.fixture(scope="session")
def store(job: LedgerCampaign) -> ChainStore:
    assert job.chain.store is not None
    return job.chain.store
