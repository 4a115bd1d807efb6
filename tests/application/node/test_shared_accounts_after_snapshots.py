"""A node that began from a snapshot verifies the signatures of accounts of several keys.

The state keeps how many keys such an account has, and not the keys; each transaction shows them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.contract.queries.account_queries import get_account
from fedcoin.data.crypto.key_policies import make_policy
from fedcoin.data.errors import DataCode, RefusalError
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_chain import LedgerChain
from tests.support.ledger_snapshots import snapshot_of
from tests.support.node_core import NodeCore
from tests.support.shared_accounts import MEMBERS, PURSE, sign_on
from tests.support.transfers import transfer_to

PAY = transfer_to((BOB.address, FDC))
UNSEEN = make_policy(1, [key.public_key for key in MEMBERS])
"""An account whose keys nobody has shown before the snapshot: 1 of the three."""


async def test_keys_that_were_shown_below_the_snapshot_are_not_needed(tmp_path: Path) -> None:
    chain = LedgerChain.create(folder=tmp_path)
    assert chain.store is not None
    fund = transfer_to((PURSE.address, 100 * FDC), (UNSEEN.address, 100 * FDC))
    chain.produce(chain.sign(ALICE, fund))
    chain.produce(sign_on(chain, PAY))
    snapshot = snapshot_of(chain.store, chain.genesis, tmp_path / "made.snapshot")
    node = NodeCore(tmp_path / "late.sqlite", chain.genesis, None)
    await node.chain.import_snapshot(snapshot)
    assert node.store.block(2) is None
    view = get_account(node.chain.ledger, PURSE.address)
    assert (view.threshold, view.num_keys, view.nonce) == (2, 3, 1)
    # Other members than before, and keys that are shown for the first time.
    payments = [
        sign_on(chain, PAY, signers=MEMBERS[1:]),
        sign_on(chain, PAY, policy=UNSEEN, signers=MEMBERS[2:]),
    ]
    for payment in payments:
        await node.pool.submit(node.pool.decode(payment.raw))
    wrong = bytearray(payments[0].raw)
    wrong[-1] ^= 1
    with pytest.raises(RefusalError) as refused:
        node.pool.decode(bytes(wrong))
    assert refused.value.code is DataCode.BAD_SIGNATURE
    assert list(node.pool.pending()) == payments
    chain.produce(*payments)
    await node.chain.import_block(chain.blocks[-1], chain.certificates[-1])
    assert node.chain.ledger.app_hash == chain.ledger.app_hash
    assert get_account(node.chain.ledger, UNSEEN.address).num_keys == 3
    await node.stop()
    chain.store.close()
