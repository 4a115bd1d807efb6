"""Check whether a block may follow the latest one.

The checks go from cheap to costly: position, time, proposer, size, the parent's certificate, the
transactions' signatures; then the block is executed and its header compared with the result. The
decoder has checked the roots over the block's parts. Voters check the artifacts of tasks elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.ledger import Execution, Ledger
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.canonical import encode
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.v1.block_pb2 import BlockHeader, Settlement

Decoder = Callable[[bytes], Transaction]


def check_block(
    block: Block,
    parent: BlockHeader | None,
    genesis: Genesis,
    ledger: Ledger,
    *,
    round: int | None = None,
    now_ms: int | None = None,
    decode: Decoder | None = None,
    verified_votes: VerifiedVotes | None = None,
) -> Execution:
    """Check a block and execute it.

    Args:
        block: The block.
        parent: The header of the latest block; None for genesis.
        genesis: The network's genesis.
        ledger: The ledger after the latest block.
        round: The round in which the block was proposed or decided, if known. The block may have
            been built in this round or an earlier one.
        now_ms: A voter's clock in Unix ms; the block's time must not be too far ahead of it. None
            skips this check.
        decode: Decodes a transaction, and may know it already.
        verified_votes: The votes whose signatures are verified already.

    Returns:
        The result of executing the block.

    Raises:
        RefusalError: WRONG_CHAIN, WRONG_HEIGHT, WRONG_PARENT, WRONG_TIME, TIME_TOO_FAR_AHEAD,
            WRONG_PROPOSER, TOO_LARGE, UNEXPECTED_CERTIFICATE, BAD_CERTIFICATE, the codes of
            transactions (with `transactions[i]` in the field), WRONG_SETTLEMENT,
            WRONG_RECEIPTS_ROOT, WRONG_VALIDATORS_HASH, WRONG_APP_HASH.
    """
    header = block.header
    parent_hash = _check_position(header, parent, genesis)
    _check_time(header, parent, genesis, now_ms)
    _check_proposer(header, ledger, round)
    _check_size(block, genesis)
    _check_certificate(block, parent_hash, genesis, ledger, verified_votes)
    decoder = decode or _decoder(genesis)
    transactions = [_decoded(i, raw, decoder) for i, raw in enumerate(block.transactions)]
    context = BlockContext(header.height, header.time_ms, header.proposer, block.last_certificate)
    execution = ledger.execute(context, transactions)
    _check_outcome(header, execution)
    return execution


def make_header(
    context: BlockContext, parent_hash: bytes, genesis: Genesis, execution: Execution
) -> BlockHeader:
    """Build the header of an executed block, without its certificate and transaction hashes.

    Args:
        context: Height, time and proposer of the block.
        parent_hash: The hash of the latest block, 32 bytes.
        genesis: The network's genesis.
        execution: The result of executing the block.

    Returns:
        The header; `messages.blocks.build_block` fills in the roots.
    """
    return BlockHeader(
        chain_id=genesis.chain_id,
        height=context.height,
        time_ms=context.time_ms,
        parent_hash=parent_hash,
        receipts_root=execution.receipts_root,
        app_hash=execution.app_hash,
        next_validators_hash=execution.next_validators.hash(),
        proposer=context.proposer,
        settlement=execution.settlement,
    )


def _check_position(header: BlockHeader, parent: BlockHeader | None, genesis: Genesis) -> bytes:
    # Returns the parent's hash.
    if header.chain_id != genesis.chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the block belongs to chain {header.chain_id!r}; this chain is {genesis.chain_id!r}",
            field="header.chain_id",
            limit=genesis.chain_id,
        )
    height = 1 if parent is None else parent.height + 1
    if header.height != height:
        raise RefusalError(
            LedgerCode.WRONG_HEIGHT,
            f"header.height is {header.height}; the next block is {height}",
            field="header.height",
            limit=str(height),
        )
    parent_hash = genesis.hash if parent is None else sha256(encode(parent))
    if header.parent_hash != parent_hash:
        raise RefusalError(
            LedgerCode.WRONG_PARENT,
            f"header.parent_hash is {header.parent_hash.hex()}; the latest block is"
            f" {parent_hash.hex()}",
            field="header.parent_hash",
            limit=parent_hash.hex(),
        )
    return parent_hash


def _check_time(
    header: BlockHeader, parent: BlockHeader | None, genesis: Genesis, now_ms: int | None
) -> None:
    before = genesis.time_ms if parent is None else parent.time_ms
    if header.time_ms <= before:
        raise RefusalError(
            LedgerCode.WRONG_TIME,
            f"header.time_ms is {header.time_ms}; the parent's is {before}: it must be later",
            field="header.time_ms",
            limit=str(before + 1),
        )
    if now_ms is None:
        return
    last = now_ms + genesis.parameters.max_clock_drift_ms
    if header.time_ms > last:
        raise RefusalError(
            LedgerCode.TIME_TOO_FAR_AHEAD,
            f"header.time_ms is {header.time_ms}, {header.time_ms - now_ms} ms ahead of this"
            f" clock; at most {genesis.parameters.max_clock_drift_ms} ms are allowed",
            field="header.time_ms",
            limit=str(last),
        )


def _check_proposer(header: BlockHeader, ledger: Ledger, round: int | None) -> None:
    # The proposer of this round or an earlier one; any validator when the round is unknown.
    validators = ledger.validators()
    if round is None:
        allowed = {validator.address for validator in validators}
    else:
        # After as many rounds as there are validators, each has been the proposer.
        turns = range(min(round + 1, len(validators)))
        allowed = {ledger.proposer(header.height, turn).address for turn in turns}
    if header.proposer not in allowed:
        raise RefusalError(
            LedgerCode.WRONG_PROPOSER,
            f"header.proposer is {header.proposer.hex()}, which was not the proposer of this round"
            " or an earlier one",
            field="header.proposer",
            limit=", ".join(sorted(address.hex() for address in allowed)[:4]),
        )


def _check_outcome(header: BlockHeader, execution: Execution) -> None:
    settled = execution.settlement if execution.settlement is not None else Settlement()
    if header.settlement != settled or header.HasField("settlement") != (
        execution.settlement is not None
    ):
        raise RefusalError(
            LedgerCode.WRONG_SETTLEMENT,
            f"header.settlement names task {header.settlement.task_id.hex() or 'none'}; the block"
            f" settles {settled.task_id.hex() or 'none'}",
            field="header.settlement",
            limit=settled.task_id.hex(),
        )
    for field, code, computed in (
        ("receipts_root", LedgerCode.WRONG_RECEIPTS_ROOT, execution.receipts_root),
        (
            "next_validators_hash",
            LedgerCode.WRONG_VALIDATORS_HASH,
            execution.next_validators.hash(),
        ),
        ("app_hash", LedgerCode.WRONG_APP_HASH, execution.app_hash),
    ):
        claimed = getattr(header, field)
        if claimed != computed:
            raise RefusalError(
                code,
                f"header.{field} is {claimed.hex()}; executing the block gives {computed.hex()}",
                field=f"header.{field}",
                limit=computed.hex(),
            )


def _check_size(block: Block, genesis: Genesis) -> None:
    max_bytes = genesis.parameters.max_block_bytes
    if len(block.raw) > max_bytes:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the block has {len(block.raw)} bytes; at most {max_bytes} are allowed",
            field="block",
            limit=str(max_bytes),
        )


def _check_certificate(
    block: Block,
    parent_hash: bytes,
    genesis: Genesis,
    ledger: Ledger,
    verified_votes: VerifiedVotes | None,
) -> None:
    height = block.header.height
    if height > 1:
        verify_certificate(
            block.last_certificate,
            ledger.last_validators(),
            genesis.chain_id,
            height - 1,
            parent_hash,
            verified_votes,
        )
    elif block.last_certificate:
        raise RefusalError(
            LedgerCode.UNEXPECTED_CERTIFICATE,
            "the first block follows genesis, which has no certificate",
            field="last_certificate",
        )


def _decoder(genesis: Genesis) -> Decoder:
    max_bytes = genesis.parameters.max_transaction_bytes
    return lambda raw: decode_transaction(raw, genesis.chain_id, max_bytes)


def _decoded(index: int, raw: bytes, decode: Decoder) -> Transaction:
    try:
        return decode(raw)
    except RefusalError as refusal:
        name = f"transactions[{index}]"
        raise refusal.prefixed(name, parent=name) from None
