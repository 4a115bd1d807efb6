"""Keys are changed as docs/OPERATIONS.md says: a validator's, a coordinator's and a client's."""

from __future__ import annotations

from dataclasses import replace

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.v1.transaction_pb2 import (
    Bond,
    CloseCampaign,
    SetClients,
    Transfer,
    TransferOutput,
    Unbond,
)
from tests.support.genesis import FDC
from tests.support.keys import ALICE, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

NEW = key_of("new key")


def transfer(amount: int) -> Transfer:
    return Transfer(outputs=[TransferOutput(recipient=NEW.address, amount=amount)])


def test_a_validator_s() -> None:
    chain = LedgerChain.create(unbonding_ms=1_000)
    old = key_of("miner 0")
    chain.keys[NEW.address] = NEW
    power = sum(v.power for v in chain.ledger.validators())
    chain.produce(chain.sign(old, transfer(20 * FDC)))
    chain.produce(chain.sign(NEW, Bond(amount=10 * FDC)))
    assert NEW in chain.miners
    chain.produce(chain.sign(old, Unbond(amount=10 * FDC)))
    assert old not in chain.miners
    assert sum(v.power for v in chain.ledger.validators()) == power  # no gap
    before = chain.balance(old)
    chain.produce(after_ms=1_001)
    assert chain.balance(old) == before + 10 * FDC
    chain.produce(chain.sign(old, transfer(before)))
    assert chain.height == 5  # the new key has signed, too
    assert chain.balance(NEW) >= before


def test_a_coordinator_s() -> None:
    chain = LedgerChain.create()
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    job.settle(dict.fromkeys(chain.miners, additive(3, 2, 1)))
    escrow = chain.campaign(job.campaign_id).escrow
    before = chain.balance(ALICE)
    closing = chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id))
    chain.produce(closing)
    assert chain.balance(ALICE) == before + escrow - closing.body.fee
    chain.produce(chain.sign(ALICE, transfer(100 * FDC)))
    again = LedgerCampaign(chain, requester=NEW, server=NEW)
    again.open_campaign()
    again.open_task()
    again.settle(dict.fromkeys(chain.miners, additive(3, 2, 1)))
    assert chain.task(again.task_id).closed_height == chain.height


def test_a_client_s() -> None:
    job = LedgerCampaign(LedgerChain.create())
    old = [ListedClient(client.address, 100) for client in job.clients]
    job.open_campaign(clients=build_client_list(old))
    changed = [replace(old[0], address=NEW.address), *old[1:]]
    listing = SetClients(campaign_id=job.campaign_id, clients=build_client_list(changed))
    lost = job.clients[0]
    job.chain.produce(job.chain.sign(job.requester, listing))
    stale = [build_admission(old, client.address) for client in job.clients]
    opening = job.chain.sign(job.server, job.task_terms(admissions=stale))
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, opening)
    job.clients = sorted([NEW, *job.clients[1:]], key=lambda key: key.address)
    admissions = [build_admission(changed, client.address) for client in job.clients]
    job.open_task(admissions=admissions)
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
    assert job.chain.balance(NEW)
    assert not job.chain.balance(lost)
