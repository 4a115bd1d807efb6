from __future__ import annotations

from fedcoin.contract.queries import account_queries
from fedcoin.data.crypto.addresses import format_address
from tests.support.genesis import FDC
from tests.support.ledger_campaign import LedgerCampaign


def test_accounts_and_validators(job: LedgerCampaign) -> None:
    chain = job.chain
    miner = chain.miners[1]
    view = account_queries.get_account(chain.ledger, miner.address)
    assert view.address == format_address(miner.address)
    assert view.balance == chain.balance(miner)
    assert view.nonce == chain.ledger.account(miner.address).nonce
    assert (view.bond, view.unbonding) == (9 * FDC, FDC)
    unused = account_queries.get_account(chain.ledger, b"\1" * 20)
    assert (unused.balance, unused.nonce, unused.bond, unused.unbonding) == (0, 0, 0, 0)
    listed = account_queries.list_validators(chain.ledger, chain.height + 1)
    assert [v.address for v in listed] == [format_address(m.address) for m in chain.miners]
    assert [v.bond for v in listed] == [10 * FDC, 9 * FDC, 10 * FDC]
    (due,) = [v for v in listed if v.next_proposer]
    assert due.public_key == chain.ledger.proposer(0).public_key.hex()
