"""What the tests of this layer share: keys, a genesis, and blocks that stand on each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2, genesis_pb2
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput

CHAIN = "fedcoin-test"
VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def load_vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def key_of(number: int) -> KeyPair:
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def genesis_message(chain_id: str = CHAIN) -> genesis_pb2.Genesis:
    return genesis_pb2.Genesis(
        chain_id=chain_id,
        time_ms=1_700_000_000_000,
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(key_of(i).address), balance=10**12)
            for i in (1, 2)
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=key_of(i).public_key.hex(), bond=10**9)
            for i in (1, 3)
        ],
    )


def genesis_of(chain_id: str = CHAIN) -> Genesis:
    return parse_genesis(render_genesis(genesis_message(chain_id)))


def transfer(nonce: int, sender: int = 1, amount: int = 5) -> Transaction:
    output = TransferOutput(recipient=key_of(2).address, amount=amount)
    return signed(TransactionBody(nonce=nonce, transfer=Transfer(outputs=[output])), sender)


def signed(body: TransactionBody, sender: int = 1) -> Transaction:
    body.chain_id, body.fee, body.expiry_height = CHAIN, 1_000, 1_000
    return sign_transaction(body, key_of(sender))


def receipt_of(transaction: Transaction) -> bytes:
    return encode_receipt(
        block_pb2.Receipt(
            transaction=block_pb2.TransactionReceipt(
                hash=transaction.hash, sender=transaction.sender, fee=transaction.body.fee
            )
        )
    )


def header_of(height: int, parent: bytes, receipts: Sequence[bytes] = ()) -> block_pb2.BlockHeader:
    return block_pb2.BlockHeader(
        chain_id=CHAIN,
        height=height,
        time_ms=1_700_000_000_000 + height,
        parent_hash=parent,
        receipts_root=receipts_root(receipts),
        app_hash=bytes(32),
        next_validators_hash=bytes(32),
        proposer=key_of(1).address,
    )


def next_block(
    store: ChainStore, transactions: Sequence[Transaction] = (), receipts: Sequence[bytes] = ()
) -> Block:
    header = header_of(store.height() + 1, store.tip_hash(), receipts)
    return build_block(header, b"", [transaction.raw for transaction in transactions])


@pytest.fixture
def genesis() -> Genesis:
    return genesis_of()


@pytest.fixture
def key() -> KeyPair:
    return key_of(1)


@pytest.fixture
def store(tmp_path: Path, genesis: Genesis) -> Iterator[ChainStore]:
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as opened:
        yield opened


@pytest.fixture(scope="session")
def build() -> Any:
    """The builders above, for test modules, which cannot import a conftest."""
    return _Builders


class _Builders:
    chain = CHAIN
    key = staticmethod(key_of)
    genesis = staticmethod(genesis_of)
    genesis_message = staticmethod(genesis_message)
    transfer = staticmethod(transfer)
    signed = staticmethod(signed)
    receipt = staticmethod(receipt_of)
    header = staticmethod(header_of)
    next_block = staticmethod(next_block)
    vectors = staticmethod(load_vectors)
