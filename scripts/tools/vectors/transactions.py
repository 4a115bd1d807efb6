"""Vectors of transactions and of the client updates inside them."""

from __future__ import annotations

from typing import Any

from fedcoin.data.messages import canonical
from fedcoin.data.messages.transactions import action_name, sign_transaction
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.data.messages.votes import PREVOTE, sign_vote
from fedcoin.v1 import task_pb2, transaction_pb2
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceLeaf, EvidenceNode
from scripts.tools.vectors.samples import CHAIN, GENESIS_HASH, KEYS, hash_of


def _client_update() -> task_pb2.ClientUpdate:
    return task_pb2.ClientUpdate(
        campaign_id=hash_of("campaign"),
        round=2,
        base=hash_of("base"),
        update=hash_of("update"),
        num_samples=600,
        address=KEYS[0].address,
    )


def _open_task() -> task_pb2.OpenTask:
    return task_pb2.OpenTask(
        campaign_id=hash_of("campaign"),
        round=2,
        base=hash_of("base"),
        aggregate=hash_of("aggregate"),
        updates=[sign_update(_client_update(), KEYS[0], GENESIS_HASH)],
        evaluation=task_pb2.EvaluationShard(
            artifact=hash_of("evaluation"), index=1, path=[hash_of("sibling")], size=360
        ),
        utility=task_pb2.UTILITY_ACCURACY,
        empty_coalition=task_pb2.EMPTY_COALITION_BASE_MODEL,
        averaging=task_pb2.AVERAGING_RENORMALISED,
        sampling=task_pb2.Sampling(
            schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=500, truncation=1
        ),
        prices=task_pb2.RoundPrices(training=700, aggregation=100, mining=200),
        commit_window_ms=10_000,
        reveal_window_ms=5_000,
        max_attempts=3,
    )


def _register_receipt() -> transaction_pb2.RegisterReceipt:
    update = sign_update(_client_update(), KEYS[0], GENESIS_HASH)
    decoded = decode_update(update, GENESIS_HASH)
    return transaction_pb2.RegisterReceipt(
        update=update, receipt=sign_receipt(decoded, 1_700_000_000_000, KEYS[1], GENESIS_HASH)
    )


def _open_campaign() -> task_pb2.OpenCampaign:
    return task_pb2.OpenCampaign(
        utility=task_pb2.UTILITY_ACCURACY,
        server=KEYS[1].address,
        model=hash_of("model"),
        initial_weights=hash_of("weights"),
        rounds=3,
        budget=10**9,
        spread=task_pb2.BUDGET_SPREAD_DECREASING,
        split=task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
        mining_reward=task_pb2.MINING_REWARD_WINNER,
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE,
        unit_price=7 * 10**8,
        evaluation_root=hash_of("evaluation root"),
        evaluation_shards=2,
    )


def _reveal() -> transaction_pb2.RevealShapley:
    return transaction_pb2.RevealShapley(
        task_id=hash_of("task"),
        attempt=1,
        salt=hash_of("salt"),
        evidence=Evidence(
            root=hash_of("root"),
            samples=4,
            total=[10, -3],
            grand_count=300,
            empty_count=36,
            leaves=[EvidenceLeaf(index=1, utilities=[40, 300])],
            siblings=[EvidenceNode(hash=hash_of("node"), sum=[5, -1])],
        ),
    )


def _equivocation() -> transaction_pb2.ReportEquivocation:
    first, second = (
        sign_vote(PREVOTE, 5, 0, value, KEYS[1], GENESIS_HASH).envelope
        for value in (hash_of("a"), b"")
    )
    return transaction_pb2.ReportEquivocation(first=first, second=second)


def transactions() -> list[dict[str, Any]]:
    """Sign one transaction of each type."""
    outputs = [
        transaction_pb2.TransferOutput(recipient=key.address, amount=10**8 + i)
        for i, key in enumerate(KEYS)
    ]
    actions: list[dict[str, Any]] = [
        {"transfer": transaction_pb2.Transfer(outputs=outputs)},
        {"bond": transaction_pb2.Bond(amount=10**8)},
        {"unbond": transaction_pb2.Unbond(amount=1)},
        {"open_campaign": _open_campaign()},
        {"open_task": _open_task()},
        {"close_campaign": transaction_pb2.CloseCampaign(campaign_id=hash_of("campaign"))},
        {
            "commit_shapley": transaction_pb2.CommitShapley(
                task_id=hash_of("task"),
                attempt=1,
                commitment=hash_of("commitment"),
                deposit=10**7,
            )
        },
        {"reveal_shapley": _reveal()},
        {"report_equivocation": _equivocation()},
        {
            "set_clients": transaction_pb2.SetClients(
                campaign_id=hash_of("campaign"),
                clients=task_pb2.ClientList(root=hash_of("clients"), count=3),
            )
        },
        {"register_receipt": _register_receipt()},
        {"decline_task": transaction_pb2.DeclineTask(task_id=hash_of("task"), attempt=1)},
        {
            "set_readers": transaction_pb2.SetReaders(
                campaign_id=hash_of("campaign"),
                readers=task_pb2.ReaderList(addresses=sorted(key.address for key in KEYS)),
            )
        },
    ]
    return [_transaction_vector(nonce, action) for nonce, action in enumerate(actions)]


def _transaction_vector(nonce: int, action: dict[str, Any]) -> dict[str, Any]:
    key = KEYS[nonce % len(KEYS)]
    body = transaction_pb2.TransactionBody(
        chain_id=CHAIN, nonce=nonce, fee=1_100, expiry_height=1_000, **action
    )
    made = sign_transaction(body, key, GENESIS_HASH)
    return {
        "action": action_name(body),
        "seed": key.seed.hex(),
        "chain_id": CHAIN,
        "genesis_hash": GENESIS_HASH.hex(),
        "body": made.body_bytes.hex(),
        "raw": made.raw.hex(),
        "hash": made.hash.hex(),
        "sender": made.sender.hex(),
    }


def updates() -> list[dict[str, Any]]:
    """Sign a client's update, without and with its claims."""
    claiming = _client_update()
    claiming.name = "Praxis Süd"
    claiming.privacy.CopyFrom(
        task_pb2.PrivacyClaim(
            epsilon_milli=3210, delta_pico=10**7, clip_micro=10**6, noise_micro=1_100_000
        )
    )
    return [_signed(update) for update in (_client_update(), claiming)]


def _signed(update: task_pb2.ClientUpdate) -> dict[str, Any]:
    envelope = sign_update(update, KEYS[0], GENESIS_HASH)
    return {
        "genesis_hash": GENESIS_HASH.hex(),
        "body": envelope.body.hex(),
        "signature": envelope.signature.hex(),
        "raw": canonical.encode(envelope).hex(),
        "address": KEYS[0].address.hex(),
    }
