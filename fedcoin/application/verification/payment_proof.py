"""Check that a block made a payment, from the proof and the validator set alone."""

from __future__ import annotations

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.v1.block_pb2 import BlockHeader, PaymentReceipt
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof


def check_payment_proof(
    proof: PaymentProof, genesis: Genesis, validators: ValidatorSet
) -> tuple[BlockHeader, PaymentReceipt]:
    """Check one payment proof, as `ShapleyTaskService.GetPaymentProof` returns it.

    Args:
        proof: The proof. Its `payment` field is ignored: the payment is read from the receipt that
            the Merkle path proves.
        genesis: The genesis of the network that the caller expects.
        validators: The validator set of the header's height, from a source that the caller trusts.

    Returns:
        The header of the block that paid, and the payment.

    Raises:
        RefusalError: MALFORMED when a part cannot be read or the receipt is not of a payment,
            WRONG_CHAIN when the header names another chain; BAD_CERTIFICATE when the validators did
            not make it final; BAD_ROOT when the path does not lead from the receipt to the header's
            `receipts_root`.
    """
    header = decode_header(proof.header)
    if header.chain_id != genesis.chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"header.chain_id: the proof is of chain {header.chain_id!r}, not {genesis.chain_id!r}",
            field="header.chain_id",
            limit=genesis.chain_id,
        )
    block_hash = sha256(proof.header)
    verify_certificate(proof.certificate, validators, genesis.hash, header.height, block_hash)
    root = header.receipts_root
    if not merkle.verify_path(proof.receipt, proof.index, proof.count, list(proof.path), root):
        raise RefusalError(
            DataCode.BAD_ROOT,
            "path: it does not lead from the receipt to header.receipts_root",
            field="path",
        )
    receipt = decode_receipt(proof.receipt)
    if not receipt.HasField("payment"):
        raise RefusalError(
            DataCode.MALFORMED, "receipt: it is not the receipt of a payment", field="receipt"
        )
    return header, receipt.payment
