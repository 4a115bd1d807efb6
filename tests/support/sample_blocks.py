"""Transactions, receipts and blocks that refer to each other correctly but are not executed.

They are enough for the data layer, which encodes, hashes and stores blocks without knowing what
their transactions do.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2, genesis_pb2
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput

CHAIN_ID = "fedcoin-test"


def key_of(number: int) -> KeyPair:
    """Derive the same key pair from the same number; 1, 2 and 3 are in the genesis."""
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def genesis_message(chain_id: str = CHAIN_ID) -> genesis_pb2.Genesis:
    """Describe a network where 1 and 2 have coins, and 1 and 3 are validators."""
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


def make_genesis(chain_id: str = CHAIN_ID) -> Genesis:
    """Parse `genesis_message(chain_id)`."""
    return parse_genesis(render_genesis(genesis_message(chain_id)))


def make_transfer(nonce: int, sender: int = 1, amount: int = 5) -> Transaction:
    """Sign a transfer of `amount` sap from `sender` to key 2."""
    output = TransferOutput(recipient=key_of(2).address, amount=amount)
    return sign_body(TransactionBody(nonce=nonce, transfer=Transfer(outputs=[output])), sender)


def sign_body(body: TransactionBody, sender: int = 1) -> Transaction:
    """Fill in chain, fee and expiry, and sign."""
    body.chain_id, body.fee, body.expiry_height = CHAIN_ID, 1_000, 1_000
    return sign_transaction(body, key_of(sender))


def make_receipt(transaction: Transaction) -> bytes:
    """Encode the receipt of a transaction that was applied."""
    return encode_receipt(
        block_pb2.Receipt(
            transaction=block_pb2.TransactionReceipt(
                hash=transaction.hash, sender=transaction.sender, fee=transaction.body.fee
            )
        )
    )


def make_header(
    height: int, parent: bytes, receipts: Sequence[bytes] = ()
) -> block_pb2.BlockHeader:
    """Make a header that key 1 proposes; the hashes of the state are zero."""
    return block_pb2.BlockHeader(
        chain_id=CHAIN_ID,
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
    """Build the block that follows the latest block of a store."""
    header = make_header(store.height() + 1, store.tip_hash(), receipts)
    return build_block(header, b"", [transaction.raw for transaction in transactions])
