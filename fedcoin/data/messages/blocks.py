"""Blocks: a header, the certificate of the parent block, and transactions."""

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
"""The default of `Parameters.max_block_bytes`."""

_MAX_TRANSACTIONS: Final = 32_768
"""The largest number of transactions in a block, more than valid ones fit. Without it, a block
full of empty transactions would take a second to check."""

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
    """A block whose header commits to its certificate and transactions."""

    raw: bytes = field(repr=False)
    """The serialised Block."""
    hash: bytes
    """SHA-256 of `header_bytes`, 32 bytes."""
    header: BlockHeader = field(compare=False)
    """The decoded header. Must not be changed."""
    header_bytes: bytes = field(repr=False)
    """The serialised BlockHeader."""
    last_certificate: bytes = field(repr=False)
    """The serialised Certificate of the parent block; empty at height 1."""
    transactions: tuple[bytes, ...] = field(repr=False)
    """Serialised SignedTransactions, not decoded yet."""

    @property
    def height(self) -> int:
        """The block's height, from 1."""
        return self.header.height


def decode_block(raw: bytes, max_bytes: int = MAX_BLOCK_BYTES) -> Block:
    """Decode a block and check that its header commits to its parts.

    Whether the block may follow its parent is checked by `contract.blocks.validation`.

    Args:
        raw: The serialised Block.
        max_bytes: The largest size allowed, in bytes.

    Returns:
        The block with its hash and its decoded header; its transactions are not decoded.

    Raises:
        RefusalError: TOO_LARGE when it has too many bytes or transactions; MALFORMED when it is
            not the canonical encoding of a block, or a hash or address has a wrong length;
            BAD_ROOT when the header commits to another certificate or other transactions.
    """
    check_size(raw, max_bytes, "block")
    block = canonical.decode(block_pb2.Block, raw)
    if len(block.transactions) > _MAX_TRANSACTIONS:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the block has {len(block.transactions)} transactions; at most {_MAX_TRANSACTIONS} "
            "are allowed",
            field="block.transactions",
            limit=str(_MAX_TRANSACTIONS),
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
    """Decode a block header and check the lengths of its fields.

    Args:
        raw: The serialised BlockHeader.

    Returns:
        The decoded header; whether it is of this chain is not checked.

    Raises:
        RefusalError: MALFORMED when it is not a well-formed header.
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
    """Assemble a block: fill in the header's commitments to its parts and serialise it.

    Args:
        header: The header; `last_certificate_hash` and `transactions_root` are ignored. It is
            not changed.
        last_certificate: The serialised Certificate of the parent block; empty at height 1.
        transactions: Serialised SignedTransactions, in order.

    Returns:
        The block with its hash and its serialised form.
    """
    filled = BlockHeader()
    filled.CopyFrom(header)
    filled.last_certificate_hash = sha256(last_certificate)
    filled.transactions_root = merkle.root(transactions)
    header_bytes = canonical.encode(filled)
    block = block_pb2.Block(
        header=header_bytes, last_certificate=last_certificate, transactions=transactions
    )
    raw, hash = canonical.encode(block), sha256(header_bytes)
    return Block(raw, hash, filled, header_bytes, last_certificate, tuple(transactions))


def _bad_root(field: str, part: str) -> RefusalError:
    return RefusalError(
        DataCode.BAD_ROOT,
        f"header.{field} is not the hash of the block's {part}",
        field=f"header.{field}",
    )
