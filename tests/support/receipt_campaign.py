"""A campaign whose server signs receipts for updates, which its clients register."""

from __future__ import annotations

from typing import Any

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import decode_update
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import SignedReceipt, SignedUpdate
from fedcoin.v1.transaction_pb2 import CloseCampaign, RegisterReceipt, Transfer
from fedcoin.v1.transaction_pb2 import TransferOutput as Output
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

WINDOW = 3_600_000
FAIR: dict[str, Any] = {
    "averaging": task_pb2.AVERAGING_EQUAL,
    "commit_window_ms": 30_000,
    "reveal_window_ms": 10_000,
}


def campaign(chain: LedgerChain | None = None, **changes: Any) -> LedgerCampaign:
    """Open a campaign with a receipt window, whose clients have coins."""
    made = LedgerCampaign(chain or LedgerChain.create(3))
    coins = [Output(recipient=client.address, amount=5 * FDC) for client in made.clients]
    made.chain.produce(made.chain.sign(ALICE, Transfer(outputs=coins)))
    made.open_campaign(**{"receipt_window_ms": WINDOW, **changes})
    return made


def receipt_of(job: LedgerCampaign, update: SignedUpdate, key: KeyPair = BOB) -> SignedReceipt:
    """Sign the server's receipt for an update."""
    genesis_hash = job.chain.genesis.hash
    return sign_receipt(decode_update(update, genesis_hash), job.chain.time_ms, key, genesis_hash)


def registering(
    job: LedgerCampaign, client: KeyPair, *, signer: KeyPair = BOB, sender: KeyPair | None = None,
    **changes: Any,
) -> Transaction:  # fmt: skip
    """Sign the registration of a client's receipt for the next round."""
    update = job.update(client, **{"round": next_round(job), **changes})
    action = RegisterReceipt(update=update, receipt=receipt_of(job, update, signer))
    return job.chain.sign(sender or client, action)


def next_round(job: LedgerCampaign) -> int:
    """Return the number of the next round."""
    return job.chain.campaign(job.campaign_id).last_round + 1


def register(job: LedgerCampaign, *clients: KeyPair) -> None:
    """Register receipts of clients in one block."""
    job.chain.produce(*(registering(job, client) for client in clients))


def closing(job: LedgerCampaign) -> Transaction:
    """Sign the requester's request to close the campaign."""
    return job.chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id))


def opening(job: LedgerCampaign, key: KeyPair, **changes: Any) -> Transaction:
    """Sign the round's task with a key."""
    return job.chain.sign(key, job.task_terms(**FAIR | changes))


def open_by(job: LedgerCampaign, key: KeyPair, **changes: Any) -> None:
    """Open the round's task with a key, so that the campaign can be played on."""
    made = opening(job, key, **changes)
    job.chain.produce(made)
    job.terms, job.task_id = made.body.open_task, made.hash


def settle(job: LedgerCampaign) -> None:
    """Play the open task of all three clients to its end."""
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
