"""Views: records and messages as people read them.

Addresses are written in bech32m, hashes in hex, enum values by their names.
"""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf.message import Message

from fedcoin.data.crypto.addresses import ADDRESS_BYTES, derive_address, format_address
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1.block_pb2 import BlockHeader, PaymentReceipt, Settlement
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.state_pb2 import AccountState, BondState, CampaignState
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from fedcoin.v1.views_pb2 import (
    AccountView,
    BlockView,
    CampaignView,
    PaymentView,
    SettlementView,
    TransactionStatus,
    TransactionView,
)
from fedcoin.v1.vote_pb2 import Certificate, SignedVote, Vote

_ADDRESS_FIELDS: Final = frozenset({"recipient", "server", "address", "sender", "winner"})
"""The fields of actions and receipts that hold an address."""


def format_optional_address(address: bytes) -> str:
    """Format an address that may be missing.

    Args:
        address: The address, 20 bytes, or empty.

    Returns:
        The address in bech32m; empty when there is none.
    """
    return format_address(address) if address else ""


def account_view(address: bytes, account: AccountState, bond: BondState) -> AccountView:
    """Make the view of an address.

    Args:
        address: The address, 20 bytes.
        account: The account of that address.
        bond: The bond of that address.

    Returns:
        The message that the API sends: the address in bech32m, amounts in sap.
    """
    return AccountView(
        address=format_optional_address(address),
        balance=account.balance,
        nonce=account.nonce,
        bond=bond.bond,
        unbonding=sum(part.amount for part in bond.unbonding),
        threshold=account.threshold,
        num_keys=account.num_keys,
    )


def campaign_view(campaign_id: bytes, campaign: CampaignState) -> CampaignView:
    """Make the view of a campaign.

    Args:
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign's record in the state.

    Returns:
        The message that the API sends: ids in hex, amounts in sap, times in Unix ms.
    """
    return CampaignView(
        utility=campaign.terms.utility,
        campaign_id=campaign_id.hex(),
        requester=format_optional_address(campaign.requester),
        server=format_optional_address(campaign.terms.server),
        rounds=campaign.terms.rounds,
        last_round=campaign.last_round,
        budget=campaign.terms.budget,
        escrow=campaign.escrow,
        closed=campaign.closed,
        open_task_id=campaign.open_task_id.hex(),
        model=campaign.terms.model.hex(),
        difficulty_nano=campaign.difficulty_nano,
        training_reward=campaign.terms.training_reward,
        unit_price=campaign.terms.unit_price,
        training_fund=campaign.training_fund,
        best_weights=campaign.best_weights.hex(),
        clients_root=campaign.clients.root.hex(),
        clients_count=campaign.clients.count,
        times_gave_way=campaign.times_gave_way,
        similarity_limit_ppm=campaign.terms.similarity_limit_ppm,
        receipt_window_ms=campaign.terms.receipt_window_ms,
        receipts=campaign.receipts,
        receipts_due_ms=campaign.receipts_since_ms + campaign.terms.receipt_window_ms
        if campaign.receipts
        else 0,
        closing_ms=campaign.closing_ms,
        is_private=campaign.HasField("readers"),
        readers=[format_address(address) for address in campaign.readers.addresses],
    )


def _settlement_view(settlement: Settlement) -> SettlementView:
    """Make the view of a task's outcome.

    Args:
        settlement: The outcome.

    Returns:
        The view.
    """
    return SettlementView(
        task_id=settlement.task_id.hex(),
        winner=format_optional_address(settlement.winner),
        winner_shapley_nano=settlement.winner_shapley_nano,
        mean_shapley_nano=settlement.mean_shapley_nano,
        difficulty_nano=settlement.difficulty_nano,
    )


def block_view(
    hash: bytes, header: BlockHeader, transactions: list[bytes], certificate: bytes
) -> BlockView:
    """Make the view of a block.

    Args:
        hash: The block's hash, 32 bytes.
        header: The block's header.
        transactions: The hashes of its transactions, 32 bytes each.
        certificate: The serialised Certificate that made the block final.

    Returns:
        The message that the API sends: hashes in hex, the time in Unix ms.
    """
    precommits = Certificate.FromString(certificate).precommits
    return BlockView(
        height=header.height,
        hash=hash.hex(),
        parent_hash=header.parent_hash.hex(),
        time_ms=header.time_ms,
        proposer=format_optional_address(header.proposer),
        app_hash=header.app_hash.hex(),
        transactions_root=header.transactions_root.hex(),
        receipts_root=header.receipts_root.hex(),
        transactions=[transaction.hex() for transaction in transactions],
        certificate_round=Vote.FromString(precommits[0].body).round if precommits else 0,
        signers=sorted(
            format_optional_address(derive_address(vote.public_key)) for vote in precommits
        ),
        settlement=(_settlement_view(header.settlement) if header.HasField("settlement") else None),
    )


def payment_view(payment: PaymentReceipt, height: int) -> PaymentView:
    """Make the view of a payment.

    Args:
        payment: The receipt of the payment.
        height: The height of the block that made it.

    Returns:
        The message that the API sends: addresses in bech32m, the amount in sap.
    """
    return PaymentView(
        kind=payment.kind,
        address=format_optional_address(payment.address),
        amount=payment.amount,
        task_id=payment.task_id.hex(),
        round=payment.round,
        shapley_nano=payment.shapley_nano,
        height=height,
    )


def transaction_view(
    transaction: Transaction,
    status: TransactionStatus.ValueType,
    *,
    height: int = 0,
    index: int = 0,
    reason: str = "",
) -> TransactionView:
    """Make the view of a transaction.

    Args:
        transaction: The decoded and verified transaction.
        status: Whether it waits, is final, or was dropped.
        height: The height of the transaction's block; 0 when it is not final.
        index: The transaction's index in the block, from 0.
        reason: Why the transaction was dropped; empty otherwise.

    Returns:
        The message that the API sends: hash in hex, sender in bech32m, fee in sap.
    """
    body = transaction.body
    name = action_name(body)
    details = message_to_json(getattr(body, name)) if name else {}
    policy = transaction.policy
    return TransactionView(
        hash=transaction.hash.hex(),
        sender=format_optional_address(transaction.sender),
        nonce=body.nonce,
        fee=body.fee,
        expiry_height=body.expiry_height,
        action=name,
        status=status,
        height=height,
        index=index,
        details_json=json.dumps(details),
        reason=reason,
        threshold=0 if policy is None else policy.threshold,
        num_keys=0 if policy is None else len(policy.public_keys),
        signers=[key.hex() for key in transaction.signers],
    )


def message_to_json(message: Message) -> dict[str, Any]:
    """Convert a message to JSON for people.

    Signed bodies inside it are decoded. Evidence is reduced to its sums and the numbers of its
    leaves and siblings.

    Args:
        message: The message: an action, a receipt, or a part of one.

    Returns:
        A dictionary that `json.dumps` accepts.
    """
    if isinstance(message, SignedUpdate):
        return _decode_signed(message, "update", ClientUpdate)
    if isinstance(message, SignedVote):
        return _decode_signed(message, "vote", Vote)
    plain = {
        field.name: _field_to_json(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not (isinstance(message, Evidence) and field.name in ("leaves", "siblings"))
    }
    if isinstance(message, Evidence):
        plain |= {"leaves": len(message.leaves), "siblings": len(message.siblings)}
    return plain


def _decode_signed(
    message: SignedUpdate | SignedVote, name: str, body_type: type[Message]
) -> dict[str, Any]:
    return {
        name: message_to_json(body_type.FromString(message.body)),
        "public_key": message.public_key.hex(),
        "signature": message.signature.hex(),
    }


def _field_to_json(field: Any, value: Any) -> Any:
    # `field` has type Any because each of protobuf's implementations has its own descriptor class.
    if field.is_repeated:
        return [_item_to_json(field, item) for item in value]
    return _item_to_json(field, value)


def _item_to_json(field: Any, value: Any) -> Any:
    if isinstance(value, Message):
        return message_to_json(value)
    if isinstance(value, bytes):
        is_address = field.name in _ADDRESS_FIELDS and len(value) == ADDRESS_BYTES
        return format_address(value) if is_address else value.hex()
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
