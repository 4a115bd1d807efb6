"""Write the golden vectors of everything that is hashed or signed: tests/vectors/*.json.

    python -m scripts.tools.make_vectors

Tests read them. If a vector changes, the bytes of the protocol have changed, and all nodes of a
network must change at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import derive_address, format_address
from fedcoin.data.crypto.hashing import SigningContext, sha256, signing_digest
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import parse_genesis, render_genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.transactions import action_name, sign_transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_proposal, sign_vote
from fedcoin.v1 import block_pb2, genesis_pb2, task_pb2, transaction_pb2
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceLeaf, EvidenceNode
from fedcoin.v1.vote_pb2 import Certificate

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "vectors"
CHAIN = "fedcoin-vectors"
KEYS = [KeyPair.from_seed(sha256(b"vector key %d" % i)) for i in range(3)]


def _hash_of(name: str) -> bytes:
    return sha256(b"vector ", name.encode())


def _hashing() -> list[dict[str, Any]]:
    return [
        {
            "context": context.value,
            "chain_id": chain_id,
            "body": body.hex(),
            "digest": signing_digest(context, chain_id, body).hex(),
        }
        for context in SigningContext
        for chain_id, body in ((CHAIN, b""), ("x", b"\0\1\2"))
    ]


def _merkle_trees() -> list[dict[str, Any]]:
    trees = []
    for count in (0, 1, 2, 3, 5, 8, 13):
        leaves = [b"leaf %d" % i for i in range(count)]
        trees.append(
            {
                "leaves": [leaf.hex() for leaf in leaves],
                "root": merkle.root(leaves).hex(),
                "paths": [[h.hex() for h in merkle.audit_path(leaves, i)] for i in range(count)],
            }
        )
    return trees


def _addresses() -> list[dict[str, Any]]:
    return [
        {
            "public_key": key.public_key.hex(),
            "address": derive_address(key.public_key).hex(),
            "text": format_address(key.address),
        }
        for key in KEYS
    ]


def _keys() -> list[dict[str, Any]]:
    return [
        {
            "seed": key.seed.hex(),
            "public_key": key.public_key.hex(),
            "address": key.address.hex(),
            "context": context.value,
            "chain_id": CHAIN,
            "body": body.hex(),
            "signature": key.sign(context, CHAIN, body).hex(),
        }
        for key, context, body in (
            (KEYS[0], SigningContext.TX, b""),
            (KEYS[1], SigningContext.HELLO, b"abc"),
            (KEYS[2], SigningContext.REGISTER, bytes(8)),
        )
    ]


def _client_update() -> task_pb2.ClientUpdate:
    return task_pb2.ClientUpdate(
        campaign_id=_hash_of("campaign"),
        round=2,
        base=_hash_of("base"),
        update=_hash_of("update"),
        num_samples=600,
        address=KEYS[0].address,
    )


def _open_task() -> task_pb2.OpenTask:
    return task_pb2.OpenTask(
        campaign_id=_hash_of("campaign"),
        round=2,
        base=_hash_of("base"),
        aggregate=_hash_of("aggregate"),
        updates=[sign_update(_client_update(), KEYS[0], CHAIN)],
        evaluation=task_pb2.EvaluationShard(
            artifact=_hash_of("evaluation"), index=1, path=[_hash_of("sibling")], size=360
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


def _open_campaign() -> task_pb2.OpenCampaign:
    return task_pb2.OpenCampaign(
        server=KEYS[1].address,
        model=_hash_of("model"),
        initial_weights=_hash_of("weights"),
        rounds=3,
        budget=10**9,
        spread=task_pb2.BUDGET_SPREAD_DECREASING,
        split=task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
        mining_reward=task_pb2.MINING_REWARD_WINNER,
        evaluation_root=_hash_of("evaluation root"),
        evaluation_shards=2,
    )


def _reveal() -> transaction_pb2.RevealShapley:
    return transaction_pb2.RevealShapley(
        task_id=_hash_of("task"),
        attempt=1,
        salt=_hash_of("salt"),
        evidence=Evidence(
            root=_hash_of("root"),
            samples=4,
            total=[10, -3],
            grand_count=300,
            empty_count=36,
            leaves=[EvidenceLeaf(index=1, utilities=[40, 300])],
            siblings=[EvidenceNode(hash=_hash_of("node"), sum=[5, -1])],
        ),
    )


def _equivocation() -> transaction_pb2.ReportEquivocation:
    first, second = (
        sign_vote(PREVOTE, 5, 0, value, KEYS[1], CHAIN).envelope for value in (_hash_of("a"), b"")
    )
    return transaction_pb2.ReportEquivocation(first=first, second=second)


def _transactions() -> list[dict[str, Any]]:
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
        {"close_campaign": transaction_pb2.CloseCampaign(campaign_id=_hash_of("campaign"))},
        {
            "commit_shapley": transaction_pb2.CommitShapley(
                task_id=_hash_of("task"),
                attempt=1,
                commitment=_hash_of("commitment"),
                deposit=10**7,
            )
        },
        {"reveal_shapley": _reveal()},
        {"report_equivocation": _equivocation()},
    ]
    return [_transaction_vector(nonce, action) for nonce, action in enumerate(actions)]


def _transaction_vector(nonce: int, action: dict[str, Any]) -> dict[str, Any]:
    key = KEYS[nonce % len(KEYS)]
    body = transaction_pb2.TransactionBody(
        chain_id=CHAIN, nonce=nonce, fee=1_100, expiry_height=1_000, **action
    )
    made = sign_transaction(body, key)
    return {
        "action": action_name(body),
        "seed": key.seed.hex(),
        "chain_id": CHAIN,
        "body": made.body_bytes.hex(),
        "raw": made.raw.hex(),
        "hash": made.hash.hex(),
        "sender": made.sender.hex(),
    }


def _updates() -> list[dict[str, Any]]:
    envelope = sign_update(_client_update(), KEYS[0], CHAIN)
    return [
        {
            "chain_id": CHAIN,
            "body": envelope.body.hex(),
            "signature": envelope.signature.hex(),
            "raw": canonical.encode(envelope).hex(),
            "address": KEYS[0].address.hex(),
        }
    ]


def _votes() -> list[dict[str, Any]]:
    made = [
        sign_vote(PREVOTE, 5, 0, _hash_of("block"), KEYS[0], CHAIN),
        sign_vote(PRECOMMIT, 5, 3, _hash_of("block"), KEYS[1], CHAIN),
        sign_vote(PRECOMMIT, 2**40, 0, b"", KEYS[2], CHAIN),
    ]
    return [
        {
            "chain_id": CHAIN,
            "place": [vote.kind, vote.height, vote.round],
            "block_hash": vote.block_hash.hex(),
            "body": vote.envelope.body.hex(),
            "signature": vote.envelope.signature.hex(),
            "raw": canonical.encode(vote.envelope).hex(),
        }
        for vote in made
    ]


def _made_receipts() -> list[bytes]:
    kinds: list[dict[str, Any]] = [
        {
            "transaction": block_pb2.TransactionReceipt(
                hash=_hash_of("tx"), sender=KEYS[0].address, fee=1_100
            )
        },
        {
            "payment": block_pb2.PaymentReceipt(
                kind=block_pb2.PAYMENT_KIND_TRAINING,
                address=KEYS[1].address,
                amount=12_345,
                campaign_id=_hash_of("campaign"),
                task_id=_hash_of("task"),
                round=2,
                shapley_nano=-42_000_000,
            )
        },
        {
            "task": block_pb2.TaskReceipt(
                task_id=_hash_of("task"), phase=block_pb2.TASK_PHASE_SETTLED, attempt=1
            )
        },
    ]
    return [encode_receipt(block_pb2.Receipt(**kind)) for kind in kinds]


def _made_blocks() -> list[Block]:
    raw = [bytes.fromhex(vector["raw"]) for vector in _transactions()]
    first = build_block(_header(1, _hash_of("genesis")), b"", raw[:2])
    precommits = [sign_vote(PRECOMMIT, 1, 0, first.hash, key, CHAIN).envelope for key in KEYS]
    precommits.sort(key=lambda vote: vote.public_key)
    settling = _header(2, first.hash)
    settling.settlement.CopyFrom(
        block_pb2.Settlement(
            task_id=_hash_of("task"),
            winner=KEYS[2].address,
            winner_shapley_nano=[30_000_000, -5_000_000, 0],
            mean_shapley_nano=[29_500_000, -4_500_000, 0],
            difficulty_nano=20_000_000,
        )
    )
    second = build_block(settling, canonical.encode(Certificate(precommits=precommits)), raw[2:])
    return [first, second]


def _header(height: int, parent: bytes) -> block_pb2.BlockHeader:
    return block_pb2.BlockHeader(
        chain_id=CHAIN,
        height=height,
        time_ms=1_700_000_000_000 + height,
        parent_hash=parent,
        receipts_root=receipts_root(_made_receipts()),
        app_hash=_hash_of("state"),
        next_validators_hash=_hash_of("validators"),
        proposer=KEYS[0].address,
    )


def _blocks() -> list[dict[str, Any]]:
    return [
        {
            "raw": block.raw.hex(),
            "header": block.header_bytes.hex(),
            "hash": block.hash.hex(),
            "transactions_root": block.header.transactions_root.hex(),
            "last_certificate_hash": block.header.last_certificate_hash.hex(),
        }
        for block in _made_blocks()
    ]


def _proposals() -> list[dict[str, Any]]:
    first, second = _made_blocks()
    made = [
        sign_proposal(1, 0, -1, first, KEYS[0], CHAIN),
        sign_proposal(2, 4, 1, second, KEYS[1], CHAIN),
    ]
    return [
        {
            "chain_id": CHAIN,
            "place": [proposal.height, proposal.round, proposal.valid_round],
            "block_hash": proposal.block_hash.hex(),
            "body": proposal.envelope.body.hex(),
            "signature": proposal.envelope.signature.hex(),
            "raw": canonical.encode(proposal.envelope).hex(),
        }
        for proposal in made
    ]


def _receipts() -> dict[str, Any]:
    made = _made_receipts()
    return {"receipts": [raw.hex() for raw in made], "root": receipts_root(made).hex()}


def _genesis() -> dict[str, Any]:
    message = genesis_pb2.Genesis(
        chain_id=CHAIN,
        time_ms=1_700_000_000_000,
        parameters=genesis_pb2.Parameters(base_fee=500),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(key.address), balance=10**12)
            for key in KEYS
        ],
        validators=[genesis_pb2.GenesisValidator(public_key=KEYS[0].public_key.hex(), bond=10**9)],
    )
    raw = render_genesis(message)
    read = parse_genesis(raw)
    return {
        "raw": raw.decode(),
        "hash": read.hash.hex(),
        "chain_id": read.chain_id,
        "accounts": [address.hex() for address, _ in read.accounts],
    }


def _artifacts() -> list[dict[str, Any]]:
    made = []
    for unit, times in ((b"x", 1), (b"fed", 1), (b"coin", CHUNK_BYTES // 4), (b"fedcoin", 200_000)):
        manifest = build_manifest(unit * times)
        made.append(
            {
                "unit": unit.hex(),
                "times": times,
                "size": manifest.size,
                "id": manifest.id.hex(),
                "chunk_hashes": [value.hex() for value in manifest.chunk_hashes],
            }
        )
    return made


def _tensors() -> list[dict[str, Any]]:
    files: list[dict[str, np.ndarray[Any, Any]]] = [
        {"bias": np.array([0.5, -1.25], "<f4"), "kernel": np.arange(6, dtype="<f4").reshape(2, 3)},
        {"x": np.array([[0, 255]], "u1"), "y": np.array([7, -7], "<i8")},
        {"scalar": np.array(-5, "<i4")},
    ]
    return [
        {
            "tensors": [
                {
                    "name": name,
                    "dtype": array.dtype.str,
                    "shape": list(array.shape),
                    "values": array.ravel().tolist(),
                }
                for name, array in file.items()
            ],
            "raw": encode_tensors(file).hex(),
        }
        for file in files
    ]


VECTORS = {
    "hashing": _hashing,
    "merkle": _merkle_trees,
    "addresses": _addresses,
    "keys": _keys,
    "transactions": _transactions,
    "updates": _updates,
    "votes": _votes,
    "proposals": _proposals,
    "blocks": _blocks,
    "receipts": _receipts,
    "genesis": _genesis,
    "artifacts": _artifacts,
    "tensors": _tensors,
}


def main() -> None:
    """Write one JSON file for each format."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in VECTORS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
        print(path.relative_to(FOLDER.parents[1]))


if __name__ == "__main__":
    main()
