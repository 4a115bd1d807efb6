"""A campaign is private when its terms name readers, which its requester can replace."""

from __future__ import annotations

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.messages.client_list import ListedClient, build_client_list
from fedcoin.v1.task_pb2 import ReaderList
from fedcoin.v1.transaction_pb2 import SetClients, SetReaders
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain

READERS = sorted(key_of(f"reader {number}").address for number in range(65))


def readers(*addresses: bytes) -> ReaderList:
    return ReaderList(addresses=addresses)


def private(*addresses: bytes) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create())
    listed = build_client_list([ListedClient(client.address, 100) for client in job.clients])
    job.open_campaign(clients=listed, readers=readers(*addresses))
    return job


@pytest.mark.parametrize("addresses", [(), tuple(READERS[:64])])
def test_a_campaign_names_its_readers(addresses: tuple[bytes, ...]) -> None:
    job = private(*addresses)
    campaign = job.chain.campaign(job.campaign_id)
    assert campaign.HasField("readers")
    assert tuple(campaign.readers.addresses) == addresses


def test_a_campaign_without_readers_is_not_private() -> None:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign()
    assert not job.chain.campaign(job.campaign_id).HasField("readers")
    change = job.chain.sign(ALICE, SetReaders(campaign_id=job.campaign_id, readers=readers()))
    job.chain.refuses(LedgerCode.NOT_PRIVATE, change, field="campaign_id")


@pytest.mark.parametrize(
    ("addresses", "field"),
    [
        ((READERS[1], READERS[0]), "readers.addresses[1]"),
        ((READERS[0], READERS[0]), "readers.addresses[1]"),
        ((b"short",), "readers.addresses[0]"),
        (tuple(READERS), "readers.addresses"),
    ],
)
def test_other_lists_are_refused(addresses: tuple[bytes, ...], field: str) -> None:
    job = private()
    terms = job.campaign_terms(readers=readers(*addresses))
    job.chain.refuses(LedgerCode.BAD_READERS, job.chain.sign(ALICE, terms), field=field)
    change = SetReaders(campaign_id=job.campaign_id, readers=readers(*addresses))
    job.chain.refuses(LedgerCode.BAD_READERS, job.chain.sign(ALICE, change), field=field)


def test_a_private_campaign_has_a_list_of_clients() -> None:
    job = private()
    terms = job.campaign_terms(readers=readers())
    job.chain.refuses(LedgerCode.BAD_READERS, job.chain.sign(ALICE, terms), field="clients")
    anybody = SetClients(campaign_id=job.campaign_id)
    job.chain.refuses(LedgerCode.BAD_READERS, job.chain.sign(ALICE, anybody), field="clients")


def test_the_requester_alone_replaces_the_readers() -> None:
    job = private(READERS[0])
    change = SetReaders(campaign_id=job.campaign_id, readers=readers(*READERS[1:3]))
    job.chain.refuses(LedgerCode.NOT_THE_REQUESTER, job.chain.sign(BOB, change))
    unknown = SetReaders(campaign_id=bytes(32), readers=readers())
    job.chain.refuses(LedgerCode.UNKNOWN_CAMPAIGN, job.chain.sign(ALICE, unknown))
    job.chain.produce(job.chain.sign(ALICE, change))
    assert list(job.chain.campaign(job.campaign_id).readers.addresses) == READERS[1:3]
    job.chain.produce(job.chain.sign(ALICE, SetReaders(campaign_id=job.campaign_id)))
    assert job.chain.campaign(job.campaign_id).HasField("readers")
    assert not job.chain.campaign(job.campaign_id).readers.addresses
