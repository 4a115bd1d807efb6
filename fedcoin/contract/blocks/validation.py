"""Check whether a block may follow the latest one.

The checks go from cheap to costly: position, time, round, proposer, size, the parent's certificate,
the transactions' signatures; then the block is executed and its header compared with the result.
The decoder has checked the roots over the block's parts. Validity is a function of the block and
the chain before it. What voters judge besides by facts of their own, the clock here and the
artifacts of tasks elsewhere, is no part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.canonical import encode
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.v1.block_pb2 import BlockHeader, Settlement

Decoder = Callable[[bytes], Transaction]
"""Decodes and checks the bytes of a transaction."""

_MAX_CLOCK_ROUND: Final = 16
"""The round from which on the bound by the voters' clocks no longer grows."""


def check_block(
    block: Block,
    parent: BlockHeader | None,
    genesis: Genesis,
    ledger: Ledger,
    *,
    round: int,
    decode: Decoder | None = None,
    verified_votes: VerifiedVotes | None = None,
) -> Execution:
    """Check whether a block is valid, and execute it.

    Validity follows from the block and the chain before it alone. Voters, nodes that import final
    blocks and replays call this function, or `check_header` and then `execute_block`, so that they
    never differ.

    Args:
        block: A decoded block, whose roots match its parts.
        parent: The header of the latest block; None for genesis.
        genesis: The network's genesis.
        ledger: The ledger after the latest block.
        round: The round of the block's proposal or of its certificate, from 0.
        decode: Decodes a transaction, and may know it already; None decodes each anew.
        verified_votes: The votes whose signatures are verified already; None verifies all.

    Returns:
        The result of executing the block.

    Raises:
        RefusalError: A code of `check_header`, such as WRONG_HEIGHT or WRONG_PROPOSER, when its
            position, time, round or proposer is wrong; a code of `execute_block`, such as
            BAD_CERTIFICATE or WRONG_APP_HASH, when its content is.
    """
    check_header(block.header, parent, genesis, ledger, round)
    return execute_block(block, genesis, ledger, decode=decode, verified_votes=verified_votes)


def check_header(
    header: BlockHeader, parent: BlockHeader | None, genesis: Genesis, ledger: Ledger, round: int
) -> None:
    """Check what a header says of its position, time, round and proposer. Costs little.

    Args:
        header: The block's header.
        parent: The header of the latest block; None for genesis.
        genesis: The network's genesis.
        ledger: The ledger after the latest block.
        round: The round of the block's proposal or of its certificate, from 0.

    Raises:
        RefusalError: WRONG_CHAIN when it names another chain id; WRONG_HEIGHT when its height is
            not one more than the parent's; WRONG_PARENT when it names another parent; WRONG_TIME
            when its time is not after the parent's; WRONG_BLOCK_ROUND when it was built for a later
            round than `round`; WRONG_PROPOSER when it names another proposer than that of its
            round.
    """
    _check_position(header, parent, genesis)
    _check_time(header, parent, genesis)
    _check_proposer(header, ledger, round)


def execute_block(
    block: Block,
    genesis: Genesis,
    ledger: Ledger,
    *,
    decode: Decoder | None = None,
    verified_votes: VerifiedVotes | None = None,
) -> Execution:
    """Check the content of a block whose header passed `check_header`, by executing it.

    Args:
        block: A decoded block, whose roots match its parts.
        genesis: The network's genesis.
        ledger: The ledger after the latest block.
        decode: Decodes a transaction, and may know it already; None decodes each anew.
        verified_votes: The votes whose signatures are verified already; None verifies all.

    Returns:
        The result of executing the block.

    Raises:
        RefusalError: TOO_LARGE when it has more than `max_block_bytes`; UNEXPECTED_CERTIFICATE when
            the first block has a certificate; BAD_CERTIFICATE when the certificate does not make
            the parent final; the code of the first transaction that is refused (with
            `transactions[i]` in the field); WRONG_SETTLEMENT, WRONG_RECEIPTS_ROOT,
            WRONG_VALIDATORS_HASH or WRONG_APP_HASH when the header states another settlement,
            receipts, validators or state than executing the block gives.
    """
    header = block.header
    _check_size(block, genesis)
    _check_certificate(block, genesis, ledger, verified_votes)
    decoder = decode or _decoder(genesis)
    transactions = [_decoded(i, raw, decoder) for i, raw in enumerate(block.transactions)]
    context = BlockContext(
        header.height,
        header.time_ms,
        header.proposer,
        block.last_certificate,
        header.round,
        header.left_out_reveals,
    )
    execution = ledger.execute(context, transactions)
    _check_outcome(header, execution)
    return execution


def compute_clock_bound(drift_ms: int, round: int) -> int:
    """Compute how far ahead of a voter's clock the time of a new block may be.

    Each round adds half of round 0's bound, as it adds half of the timeouts, up to round 16: then
    clocks that differ by more than was planned for still agree on a block after some rounds, and
    no round lets a dishonest proposer set the chain's time ahead without limit.

    Args:
        drift_ms: The bound of round 0, in ms.
        round: The round for which the block was built, from 0.

    Returns:
        The bound in ms.
    """
    return drift_ms + drift_ms * min(round, _MAX_CLOCK_ROUND) // 2


def check_clock(
    header: BlockHeader, parent: BlockHeader | None, genesis: Genesis, now_ms: int
) -> None:
    """Check by a voter's clock that the time of a newly proposed block is not too far ahead.

    This is no part of validity: clocks differ. The block of a later round may be further ahead
    (`compute_clock_bound`). A block that is 1 ms later than its parent always passes, because
    no block can have an earlier time.

    Args:
        header: The block's header.
        parent: The header of the latest block; None for genesis.
        genesis: The network's genesis.
        now_ms: The voter's clock, Unix ms.

    Raises:
        RefusalError: TIME_TOO_FAR_AHEAD when the block's time is later than these rules allow.
    """
    drift_ms = compute_clock_bound(genesis.parameters.max_clock_drift_ms, header.round)
    earliest = (genesis.time_ms if parent is None else parent.time_ms) + 1
    latest = max(now_ms + drift_ms, earliest)
    if header.time_ms > latest:
        raise RefusalError(
            LedgerCode.TIME_TOO_FAR_AHEAD,
            f"header.time_ms is {header.time_ms}, {header.time_ms - now_ms} ms ahead of this"
            f" clock; at most {drift_ms} ms are allowed in round {header.round}; its proposer"
            f" {format_address(header.proposer)} or this node has a wrong clock",
            field="header.time_ms",
            limit=str(latest),
        )


def make_header(
    context: BlockContext, parent_hash: bytes, genesis: Genesis, execution: Execution
) -> BlockHeader:
    """Build the header of an executed block, without its certificate and transaction hashes.

    Args:
        context: Height, time, proposer and round of the block.
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
        round=context.round,
        left_out_reveals=context.left_out_reveals,
    )


def _check_position(header: BlockHeader, parent: BlockHeader | None, genesis: Genesis) -> None:
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


def _check_time(header: BlockHeader, parent: BlockHeader | None, genesis: Genesis) -> None:
    before = genesis.time_ms if parent is None else parent.time_ms
    if header.time_ms <= before:
        raise RefusalError(
            LedgerCode.WRONG_TIME,
            f"header.time_ms is {header.time_ms}; the parent's is {before}: it must be later",
            field="header.time_ms",
            limit=str(before + 1),
        )


def _check_proposer(header: BlockHeader, ledger: Ledger, round: int) -> None:
    if header.round > round:
        raise RefusalError(
            LedgerCode.WRONG_BLOCK_ROUND,
            f"header.round is {header.round}; the block was proposed or decided in round {round},"
            " and cannot have been built for a later one",
            field="header.round",
            limit=str(round),
        )
    proposer = ledger.proposer(header.round).address
    if header.proposer != proposer:
        raise RefusalError(
            LedgerCode.WRONG_PROPOSER,
            f"header.proposer is {header.proposer.hex()}; the proposer of round {header.round} is"
            f" {proposer.hex()}",
            field="header.proposer",
            limit=proposer.hex(),
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
    block: Block, genesis: Genesis, ledger: Ledger, verified_votes: VerifiedVotes | None
) -> None:
    height = block.header.height
    if height > 1:
        verify_certificate(
            block.last_certificate,
            ledger.last_validators(),
            genesis.hash,
            height - 1,
            block.header.parent_hash,
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
    return lambda raw: decode_transaction(raw, genesis.identity, max_bytes)


def _decoded(index: int, raw: bytes, decode: Decoder) -> Transaction:
    try:
        return decode(raw)
    except RefusalError as refusal:
        name = f"transactions[{index}]"
        raise refusal.prefixed(name, parent=name) from None
