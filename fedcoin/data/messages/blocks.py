"""Blocks: a header, the certificate of the parent, and transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import BlockHeader

MAX_BLOCK_BYTES: Final = 2 << 20
"""What `Parameters.max_block_bytes` is when genesis does not say."""

MAX_TRANSACTIONS: Final = 32_768
"""More than fit into any block: without it, a block of empty ones would cost a second."""

_HASHES: Final = (
    "parent_hash",
    "last_certificate_hash",
    "transactions_root",
    "receipts_root",
    "app_hash",
    "next_validators_hash",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose parts fit together.

    `raw` is the serialised Block and `hash` the SHA-256 of its header's bytes; `header` must
    not be changed. `transactions` are serialised SignedTransactions, not yet looked into.
    """

    raw: bytes = field(repr=False)
    hash: bytes
    header: BlockHeader = field(compare=False)
    header_bytes: bytes = field(repr=False)
    last_certificate: bytes = field(repr=False)
    transactions: tuple[bytes, ...] = field(repr=False)

    @property
    def height(self) -> int:
        """The block's height, from 1."""
        return self.header.height


def decode_block(raw: bytes, max_bytes: int = MAX_BLOCK_BYTES) -> Block:
    """Read a serialised Block and check that its parts fit together.

    Raises `Refusal`: TOO_LARGE; MALFORMED when it is not the one encoding of a block or a
    hash or address has a wrong length; BAD_ROOT when transactions or certificate are not what
    the header commits to. Whether it may follow its parent is for the ledger to say.
    """
    check_size(raw, max_bytes, "block")
    block = canonical.decode(block_pb2.Block, raw)
    if len(block.transactions) > MAX_TRANSACTIONS:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the block has {len(block.transactions)} transactions; at most {MAX_TRANSACTIONS} "
            "are allowed",
            field="block.transactions",
            limit=str(MAX_TRANSACTIONS),
        )
    header = decode_header(block.header)
    transactions = tuple(block.transactions)
    if sha256(block.last_certificate) != header.last_certificate_hash:
        raise _bad_root("last_certificate_hash", "certificate")
    if merkle.root(transactions) != header.transactions_root:
        raise _bad_root("transactions_root", "transactions")
    hash = sha256(block.header)
    return Block(raw, hash, header, block.header, block.last_certificate, transactions)


def decode_header(raw: bytes) -> BlockHeader:
    """Read a serialised BlockHeader and check the lengths in it.

    Raises `Refusal` (MALFORMED).
    """
    header = canonical.decode(BlockHeader, raw)
    check_range(len(header.chain_id), 1, 64, "header.chain_id (characters)")
    check_range(header.height, 1, 2**63 - 1, "header.height")
    check_range(header.time_ms, 0, 2**63 - 1, "header.time_ms")
    for name in _HASHES:
        check_length(getattr(header, name), HASH_BYTES, f"header.{name}")
    check_length(header.proposer, ADDRESS_BYTES, "header.proposer")
    if header.HasField("settlement"):
        settlement = header.settlement
        check_length(settlement.task_id, HASH_BYTES, "header.settlement.task_id")
        check_length(settlement.winner, ADDRESS_BYTES, "header.settlement.winner")
    return header


def build_block(
    header: BlockHeader, last_certificate: bytes, transactions: Sequence[bytes]
) -> Block:
    """Put a block together, filling in the header's two roots over its parts.

    `header` itself is left alone; everything in it but `last_certificate_hash` and
    `transactions_root` is taken as it is.
    """
    filled = BlockHeader()
    filled.CopyFrom(header)
    filled.last_certificate_hash = sha256(last_certificate)
    filled.transactions_root = merkle.root(transactions)
    written = canonical.encode(filled)
    block = block_pb2.Block(
        header=written, last_certificate=last_certificate, transactions=transactions
    )
    raw, hash = canonical.encode(block), sha256(written)
    return Block(raw, hash, filled, written, last_certificate, tuple(transactions))


def _bad_root(field: str, what: str) -> RefusalError:
    return RefusalError(
        DataCode.BAD_ROOT,
        f"header.{field} is not the hash of the block's {what}",
        field=f"header.{field}",
    )
