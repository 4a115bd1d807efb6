"""Who may fetch a private campaign's artifacts, from its opening to its end."""

from __future__ import annotations

from fedcoin.contract.queries.artifact_readers import may_read, may_write
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.v1.task_pb2 import ReaderList
from fedcoin.v1.transaction_pb2 import Bond, CloseCampaign, DeclineTask, SetReaders
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

READER, STRANGER, LATE = key_of("reader"), key_of("stranger"), key_of("late")


def private() -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(users=("alice", "bob", "late")))
    listed = [ListedClient(client.address, 100) for client in job.clients]
    readers = ReaderList(addresses=[READER.address])
    job.open_campaign(clients=build_client_list(listed), readers=readers)
    return job


def admissions(job: LedgerCampaign) -> list[object]:
    listed = [ListedClient(client.address, 100) for client in job.clients]
    return [build_admission(listed, client.address) for client in job.clients]


def reads(job: LedgerCampaign, key: KeyPair) -> bool:
    now = job.chain.blocks[-1].header.time_ms
    allowed = may_read(job.chain.state, now, job.campaign_id, key.address)
    # Who may fetch may add, and nobody else here has a receipt.
    assert may_write(job.chain.state, now, job.campaign_id, key.address) is allowed
    return allowed


def test_the_named_and_the_miners_read() -> None:
    job = private()
    miners = list(job.chain.miners)
    for key in (ALICE, BOB, READER, *miners):
        assert reads(job, key)
    for key in (STRANGER, LATE, *job.clients):
        assert not reads(job, key)
    job.open_task(admissions=admissions(job))
    # Who bonds while a task is open has no power in it, and waits for the next one.
    job.chain.keys[LATE.address] = LATE
    job.chain.produce(job.chain.sign(LATE, Bond(amount=100 * FDC)))
    assert not reads(job, LATE)
    assert all(reads(job, miner) for miner in miners)
    job.settle(dict.fromkeys(miners, additive(3, 2, 1)))
    assert reads(job, LATE)


def test_a_miner_that_declines_reads_no_more_of_the_task() -> None:
    job = private()
    first, *others = job.chain.miners
    job.open_task(admissions=admissions(job))
    job.chain.produce(job.chain.sign(first, DeclineTask(task_id=job.task_id)))
    assert not reads(job, first)
    assert all(reads(job, miner) for miner in others)


def test_after_the_end_the_named_alone_read() -> None:
    job = private()
    job.chain.produce(job.chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id)))
    assert not any(reads(job, miner) for miner in job.chain.miners)
    assert all(reads(job, key) for key in (ALICE, BOB, READER))
    change = SetReaders(
        campaign_id=job.campaign_id, readers=ReaderList(addresses=[STRANGER.address])
    )
    job.chain.produce(job.chain.sign(ALICE, change))
    assert not reads(job, READER)
    assert reads(job, STRANGER)


def test_nobody_reads_what_is_not_private() -> None:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign()
    assert not reads(job, ALICE)
    job.campaign_id = bytes(32)
    assert not reads(job, ALICE)
    job.campaign_id = b"short"
    assert not reads(job, ALICE)
