"""Bodies of transactions that are not signed yet."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from fedcoin.contract.admission import min_replacement_fee
from fedcoin.data.crypto.key_policies import KeyPolicy
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.transaction_pb2 import TransactionBody

EXPIRY_BLOCKS: Final = 200
"""The number of blocks until a transaction expires, unless the network's limit is smaller."""

MAX_FEE_FACTOR: Final = 20
"""Without being asked, no more than this many times the minimum fee is paid when the mempool is
crowded, so that a node cannot talk a wallet into any fee."""

_KIB: Final = 1024

_ENVELOPE_BYTES: Final = 106
"""What a signed transaction takes beside its body: key, signature, tags and lengths."""


def draft_transaction(
    action: Message,
    fees: GetFeesResponse,
    *,
    chain_id: str,
    nonce: int,
    height: int,
    replaced_fee: int | None = None,
    policy: KeyPolicy | None = None,
    expiry_blocks: int = EXPIRY_BLOCKS,
) -> TransactionBody:
    """Make a transaction's body, with the lowest fee with which it is in the next block.

    Args:
        action: The action, such as a Transfer or a Bond.
        fees: The network's fees, in sap, and its limit on expiry heights.
        chain_id: The chain that the transaction is for.
        nonce: The sender's nonce.
        height: The chain's present height.
        replaced_fee: The fee, in sap, of the pending transaction that this one replaces, if any.
        policy: The keys of the sender's account, when it has several.
        expiry_blocks: The number of blocks after `height` until it expires.

    Returns:
        The body. Its fee is at most `MAX_FEE_FACTOR` times the lowest that is accepted. It expires
        `expiry_blocks` after `height`, or sooner where the network allows less.
    """
    body = TransactionBody(
        chain_id=chain_id,
        nonce=nonce,
        expiry_height=height + min(expiry_blocks, fees.max_expiry_blocks),
    )
    getattr(body, action_field(action)).CopyFrom(action)
    minimum = compute_min_fee(body, fees, replaced_fee, policy)
    rate = max(fees.mempool_fee_rate, fees.next_block_fee_rate)
    # A higher fee makes the body longer, by nine bytes at most.
    num_bytes = body.ByteSize() + 9 + _ENVELOPE_BYTES
    if policy is not None:
        # Tags and lengths of keys and signatures.
        num_bytes += policy.num_bytes + 4 * len(policy.public_keys)
    body.fee = max(minimum, min(-(-rate * num_bytes // _KIB), MAX_FEE_FACTOR * minimum))
    return body


def action_field(action: Message) -> str:
    """Find the field of a TransactionBody that holds an action.

    Args:
        action: The action, such as an OpenTask.

    Returns:
        The field's name, such as `open_task`.

    Raises:
        TypeError: The message is no action.
    """
    for field in TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields:
        if field.message_type is action.DESCRIPTOR:
            return str(field.name)
    raise TypeError(f"{type(action).__name__} is no action")


def compute_min_fee(
    body: TransactionBody,
    fees: GetFeesResponse,
    replaced_fee: int | None = None,
    policy: KeyPolicy | None = None,
) -> int:
    """Compute the lowest fee that a transaction has to carry.

    Args:
        body: The transaction's body; its fee is overwritten.
        fees: The network's fees, in sap.
        replaced_fee: The fee, in sap, of the pending transaction that this one replaces, if any.
        policy: The keys of the sender's account, when it has several.

    Returns:
        The fee in sap as the ledger computes it (`contract.admission.min_fee`), or more for a
        replacement.
    """
    num_signatures, num_bytes = (1, 0) if policy is None else (policy.threshold, policy.num_bytes)
    fee = fees.base_fee + fees.fee_per_kib
    while True:
        body.fee = fee
        num_kib = -(-(body.ByteSize() + num_bytes) // _KIB)
        needed = fees.base_fee * num_signatures + fees.fee_per_kib * num_kib
        if replaced_fee is not None:
            needed = min_replacement_fee(replaced_fee, needed)
        if needed <= fee:
            return fee
        # A higher fee makes the body longer, by nine bytes at most, so that this ends.
        fee = needed
