"""Accounts of several keys, and what some of their keys sign."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from fedcoin.contract.admission import min_fee
from fedcoin.data.crypto.key_policies import KeyPolicy, make_policy, sign_for_policy
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import (
    Transaction,
    assemble_transaction,
    decode_transaction,
    encode_body,
)
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.keys import key_of
from tests.support.ledger_chain import FIELDS, LedgerChain


def members_of(count: int) -> list[KeyPair]:
    """Derive keys `member 0`, `member 1`, ..., in the order of their public keys."""
    keys = [key_of(f"member {i}") for i in range(count)]
    return sorted(keys, key=lambda key: key.public_key)


MEMBERS = members_of(3)
PURSE = make_policy(2, [key.public_key for key in MEMBERS])
"""2 of the three `MEMBERS`."""


def sign_shared(
    policy: KeyPolicy, body: TransactionBody, signers: Sequence[KeyPair], genesis_hash: bytes
) -> bytes:
    """Sign a body for an account by some keys; serialised, and checked by nobody."""
    raw = encode_body(body)
    signed = {key.public_key: sign_for_policy(policy, raw, key, genesis_hash) for key in signers}
    return assemble_transaction(policy, raw, signed)


def sign_on(
    chain: LedgerChain,
    action: Message,
    *,
    policy: KeyPolicy = PURSE,
    signers: Sequence[KeyPair] = MEMBERS[:2],
    nonce: int | None = None,
    fee: int | None = None,
) -> Transaction:
    """Sign an account's next transaction for a chain, and decode it as a node does."""
    due = chain.ledger.account(policy.address).nonce
    body = TransactionBody(
        chain_id=chain.genesis.chain_id,
        nonce=due if nonce is None else nonce,
        expiry_height=chain.height + 100,
    )
    getattr(body, FIELDS[type(action)]).CopyFrom(action)
    least = min_fee(chain.genesis.parameters, body.ByteSize() + 10, policy)
    body.fee = least if fee is None else fee
    raw = sign_shared(policy, body, signers, chain.genesis.hash)
    return decode_transaction(raw, chain.genesis.identity)
