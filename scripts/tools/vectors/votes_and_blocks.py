"""Vectors of votes, proposals, blocks, receipts and the genesis."""

from __future__ import annotations

from typing import Any

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import parse_genesis, render_genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_proposal, sign_vote
from fedcoin.v1 import block_pb2, genesis_pb2
from fedcoin.v1.vote_pb2 import Certificate
from scripts.tools.vectors.samples import CHAIN, GENESIS_HASH, KEYS, hash_of
from scripts.tools.vectors.transactions import transactions


def votes() -> list[dict[str, Any]]:
    """Sign votes, one of them for nil, one that says that its block was audited."""
    made = [
        sign_vote(PREVOTE, 5, 0, hash_of("block"), KEYS[0], GENESIS_HASH),
        sign_vote(PRECOMMIT, 5, 3, hash_of("block"), KEYS[1], GENESIS_HASH),
        sign_vote(PRECOMMIT, 2**40, 0, b"", KEYS[2], GENESIS_HASH),
        sign_vote(PREVOTE, 5, 1, hash_of("block"), KEYS[0], GENESIS_HASH, audited=True),
    ]
    return [
        {
            "genesis_hash": GENESIS_HASH.hex(),
            "place": [vote.kind, vote.height, vote.round],
            "block_hash": vote.block_hash.hex(),
            "audited": vote.audited,
            "body": vote.envelope.body.hex(),
            "signature": vote.envelope.signature.hex(),
            "raw": canonical.encode(vote.envelope).hex(),
        }
        for vote in made
    ]


def proposals() -> list[dict[str, Any]]:
    """Sign proposals of two blocks."""
    first, second = _madeblocks()
    made = [
        sign_proposal(1, 0, -1, first, KEYS[0], GENESIS_HASH),
        sign_proposal(2, 4, 1, second, KEYS[1], GENESIS_HASH),
    ]
    return [
        {
            "genesis_hash": GENESIS_HASH.hex(),
            "place": [proposal.height, proposal.round, proposal.valid_round],
            "block_hash": proposal.block_hash.hex(),
            "body": proposal.envelope.body.hex(),
            "signature": proposal.envelope.signature.hex(),
            "raw": canonical.encode(proposal.envelope).hex(),
        }
        for proposal in made
    ]


def blocks() -> list[dict[str, Any]]:
    """Build a first block and one that settles a task."""
    return [
        {
            "raw": block.raw.hex(),
            "header": block.header_bytes.hex(),
            "hash": block.hash.hex(),
            "transactions_root": block.header.transactions_root.hex(),
            "last_certificate_hash": block.header.last_certificate_hash.hex(),
        }
        for block in _madeblocks()
    ]


def receipts() -> dict[str, Any]:
    """Encode one receipt of each kind."""
    made = _madereceipts()
    return {"receipts": [raw.hex() for raw in made], "root": receipts_root(made).hex()}


def genesis() -> dict[str, Any]:
    """Render and read a genesis."""
    message = genesis_pb2.Genesis(
        chain_id=CHAIN,
        time_ms=1_700_000_000_000,
        parameters=genesis_pb2.Parameters(base_fee=500),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(key.address), balance=10**12)
            for key in KEYS
        ],
        validators=[genesis_pb2.GenesisValidator(public_key=KEYS[0].public_key.hex(), bond=10**10)],
    )
    raw = render_genesis(message)
    read = parse_genesis(raw)
    return {
        "raw": raw.decode(),
        "hash": read.hash.hex(),
        "chain_id": read.chain_id,
        "accounts": [address.hex() for address, _ in read.accounts],
    }


def _madereceipts() -> list[bytes]:
    kinds: list[dict[str, Any]] = [
        {
            "transaction": block_pb2.TransactionReceipt(
                hash=hash_of("tx"), sender=KEYS[0].address, fee=1_100
            )
        },
        {
            "payment": block_pb2.PaymentReceipt(
                kind=block_pb2.PAYMENT_KIND_TRAINING,
                address=KEYS[1].address,
                amount=12_345,
                campaign_id=hash_of("campaign"),
                task_id=hash_of("task"),
                round=2,
                shapley_nano=-42_000_000,
            )
        },
        {
            "task": block_pb2.TaskReceipt(
                task_id=hash_of("task"), phase=block_pb2.TASK_PHASE_SETTLED, attempt=1
            )
        },
    ]
    return [encode_receipt(block_pb2.Receipt(**kind)) for kind in kinds]


def _madeblocks() -> list[Block]:
    raw = [bytes.fromhex(vector["raw"]) for vector in transactions()]
    first = build_block(_header(1, GENESIS_HASH), b"", raw[:2])
    precommits = [
        sign_vote(PRECOMMIT, 1, 0, first.hash, key, GENESIS_HASH).envelope for key in KEYS
    ]
    precommits.sort(key=lambda vote: vote.public_key)
    settling = _header(2, first.hash)
    settling.round = 1
    settling.settlement.CopyFrom(
        block_pb2.Settlement(
            task_id=hash_of("task"),
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
        receipts_root=receipts_root(_madereceipts()),
        app_hash=hash_of("state"),
        next_validators_hash=hash_of("validators"),
        proposer=KEYS[0].address,
    )
