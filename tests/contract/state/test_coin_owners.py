"""Who owns the coins that are locked somewhere."""

from __future__ import annotations

from fedcoin.contract.state import records
from fedcoin.contract.state.coin_owners import find_owners
from fedcoin.contract.state.overlay import Overlay
from fedcoin.v1.transaction_pb2 import Unbond
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


def owned(chain: LedgerChain) -> dict[bytes, int]:
    """Return all balances, after a check that no coin is lost or counted twice."""
    found = find_owners(chain.state)
    total = sum(found.balances.values()) + sum(found.bonds.values()) + found.burned
    assert total == chain.genesis.supply
    assert list(found.balances) == sorted(found.balances)
    return dict(found.balances)


def test_deposits_and_escrow_belong_to_those_who_paid_them() -> None:
    chain = LedgerChain.create()
    assert owned(chain)[ALICE.address] == 1_000 * FDC
    campaign = LedgerCampaign(chain)
    campaign.open_campaign()
    assert owned(chain)[ALICE.address] == chain.balance(ALICE) + 10 * FDC
    task_id = campaign.open_task()
    deposit = chain.task(task_id).deposit
    assert deposit
    assert owned(chain)[BOB.address] == chain.balance(BOB) + deposit
    for miner in chain.miners:
        chain.produce(campaign.commit(miner, campaign.tree(miner, additive(1, 2, 3))))
        state = chain.miner(task_id, miner)
        assert state is not None
        assert state.deposit
        assert owned(chain)[miner.address] == chain.balance(miner) + state.deposit


def test_unbonding_coins_belong_to_the_validator() -> None:
    chain = LedgerChain.create()
    miner = key_of("miner 3")
    chain.produce(chain.sign(miner, Unbond(amount=10 * FDC)))
    assert miner.public_key not in find_owners(chain.state).bonds
    assert owned(chain)[miner.address] == chain.balance(miner) + 10 * FDC


def test_what_a_campaign_owes_for_left_out_updates_is_burned() -> None:
    chain = LedgerChain.create()
    campaign = LedgerCampaign(chain)
    campaign_id = campaign.open_campaign()
    before = find_owners(chain.state)
    state = Overlay(chain.state)
    record = chain.campaign(campaign_id)
    record.left_out_debt = 3 * FDC
    records.CAMPAIGNS.put(state, campaign_id, record=record)
    after = find_owners(state)
    assert after.burned == before.burned + 3 * FDC
    assert after.balances[ALICE.address] == before.balances[ALICE.address] - 3 * FDC
