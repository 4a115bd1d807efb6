from __future__ import annotations

from typing import Any

from fedcoin.data.messages.receipts import encode_receipt
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2
from fedcoin.v1.evidence_pb2 import EvidenceLeaf
from fedcoin.v1.task_pb2 import OpenCampaign, OpenTask
from fedcoin.v1.transaction_pb2 import RevealShapley, TransactionBody
from tests.support.keys import ALICE, BOB, STRANGER
from tests.support.sample_blocks import make_receipt, next_block, sign_body
from tests.support.transfers import sign_transfer

TASK = b"t" * 32


def payment(address: bytes, task_id: bytes) -> bytes:
    return encode_receipt(
        block_pb2.Receipt(
            payment=block_pb2.PaymentReceipt(
                kind=block_pb2.PAYMENT_KIND_TRAINING, address=address, amount=1, task_id=task_id
            )
        )
    )


def append(store: ChainStore, *transactions: Any, receipts: tuple[bytes, ...] = ()) -> None:
    store.append(next_block(store, transactions, receipts), b"certificate", receipts, {})


def test_transactions_by_sender(store: ChainStore) -> None:
    mine = [sign_transfer(n) for n in range(3)]
    other = sign_transfer(0, sender=BOB)
    append(store, mine[0], other, mine[1])
    append(store, mine[2])
    assert store.index.find_transaction(mine[1].hash) == (1, 2)
    assert store.index.list_transactions(mine[0].sender, 10) == [(2, 0), (1, 2), (1, 0)]
    assert store.index.list_transactions(mine[0].sender, 1) == [(2, 0)]
    assert store.index.list_transactions(mine[0].sender, 10, before=(1, 2)) == [(1, 0)]
    end = (2**64 - 1, 2**64 - 1)
    assert len(store.index.list_transactions(mine[0].sender, 10, before=end)) == 3
    assert store.index.list_transactions(STRANGER.address, 10) == []


def test_campaigns_and_tasks(store: ChainStore) -> None:
    def campaign(nonce: int) -> Any:
        return sign_body(TransactionBody(nonce=nonce, open_campaign=OpenCampaign(rounds=1)))

    def task(nonce: int, campaign_id: bytes) -> Any:
        return sign_body(TransactionBody(nonce=nonce, open_task=OpenTask(campaign_id=campaign_id)))

    one, two = campaign(0), campaign(1)
    append(store, one, two)
    tasks = [task(2, one.hash), task(3, two.hash), task(4, one.hash)]
    append(store, *tasks)
    assert [c.id for c in store.index.list_campaigns(10)] == [two.hash, one.hash]
    assert store.index.list_campaigns(10)[0].location == (1, 1)
    assert [t.id for t in store.index.list_tasks(10)] == [t.hash for t in reversed(tasks)]
    of_one = store.index.list_tasks(1, campaign_id=one.hash)
    assert [t.id for t in of_one] == [tasks[2].hash]
    rest = store.index.list_tasks(10, before=of_one[0].location, campaign_id=one.hash)
    assert [t.id for t in rest] == [tasks[0].hash]
    assert store.index.list_tasks(10, campaign_id=bytes(32)) == []


def test_the_latest_reveal(store: ChainStore) -> None:
    def reveal(nonce: int, attempt: int, leaves: int = 1) -> Any:
        action = RevealShapley(task_id=TASK, attempt=attempt)
        action.evidence.leaves.extend([EvidenceLeaf()] * leaves)
        return sign_body(TransactionBody(nonce=nonce, reveal_shapley=action))

    append(store, reveal(0, 0))
    miner = ALICE.address
    assert store.index.find_reveal(TASK, miner) == (1, 0)
    append(store, sign_transfer(1), reveal(2, 1), reveal(3, 1, leaves=0))
    # An opening is not a reveal.
    assert store.index.find_reveal(TASK, miner) == (2, 1)
    assert store.index.find_reveal(TASK, BOB.address) is None
    assert store.index.find_reveal(bytes(32), miner) is None


def test_payments(store: ChainStore) -> None:
    first = sign_transfer(0)
    a, b = b"a" * 20, b"b" * 20
    append(store, first, receipts=(make_receipt(first), payment(a, TASK), payment(b, b"")))
    append(store, receipts=(payment(a, TASK),))
    assert store.index.list_task_payments(TASK) == [(1, 1), (2, 0)]
    assert store.index.list_payments(a, 10) == [(2, 0), (1, 1)]
    assert store.index.list_payments(a, 10, before=(2, 0)) == [(1, 1)]
    assert store.index.list_payments(b, 10) == [(1, 2)]
