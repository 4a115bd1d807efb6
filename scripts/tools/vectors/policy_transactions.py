"""Vectors of transactions of accounts of several keys."""

from __future__ import annotations

from typing import Any

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.key_policies import KeyPolicy, make_policy, policy_digest, sign_for_policy
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import (
    assemble_transaction,
    decode_transaction,
    encode_body,
)
from fedcoin.v1 import transaction_pb2
from scripts.tools.vectors.samples import CHAIN, GENESIS_HASH, KEYS, hash_of

MEMBERS = sorted(
    (KeyPair.from_seed(hash_of(f"member {i}")) for i in range(3)), key=lambda key: key.public_key
)
"""The keys of the accounts, in the order of their bytes."""


def _body() -> bytes:
    output = transaction_pb2.TransferOutput(recipient=KEYS[0].address, amount=10**8)
    return encode_body(
        transaction_pb2.TransactionBody(
            chain_id=CHAIN,
            nonce=5,
            fee=2_200,
            expiry_height=1_000,
            transfer=transaction_pb2.Transfer(outputs=[output]),
        )
    )


def policy_transactions() -> dict[str, Any]:
    """Sign a transfer of a 2-of-3 account by each pair of its keys, and spoil it in each way."""
    policy = make_policy(2, [key.public_key for key in MEMBERS])
    return {
        "chain_id": CHAIN,
        "genesis_hash": GENESIS_HASH.hex(),
        "seeds": [key.seed.hex() for key in MEMBERS],
        "threshold": policy.threshold,
        "public_keys": [key.hex() for key in policy.public_keys],
        "policy_hash": policy.hash.hex(),
        "address": policy.address.hex(),
        "text": format_address(policy.address),
        "body": _body().hex(),
        "digest": policy_digest(policy, _body(), GENESIS_HASH).hex(),
        "accepted": [_accepted(policy, pair) for pair in ((0, 1), (0, 2), (1, 2))],
        "refused": [_refused(why, message) for why, message in _spoiled(policy).items()],
    }


def _accepted(policy: KeyPolicy, signers: tuple[int, ...]) -> dict[str, Any]:
    raw = canonical.encode(_sign(policy, signers))
    read = decode_transaction(raw, ChainIdentity(CHAIN, GENESIS_HASH))
    return {
        "signers": list(signers),
        "signatures": [one.hex() for one in _sign(policy, signers).signatures],
        "raw": raw.hex(),
        "hash": read.hash.hex(),
        "sender": read.sender.hex(),
    }


def _sign(policy: KeyPolicy, signers: tuple[int, ...]) -> transaction_pb2.SignedTransaction:
    body = _body()
    signed = {
        MEMBERS[i].public_key: sign_for_policy(policy, body, MEMBERS[i], GENESIS_HASH)
        for i in signers
    }
    return transaction_pb2.SignedTransaction.FromString(assemble_transaction(policy, body, signed))


def _spoiled(policy: KeyPolicy) -> dict[str, transaction_pb2.SignedTransaction]:
    """Make transactions that no node accepts, by what is wrong with each."""
    changed = {}

    def change(why: str) -> transaction_pb2.SignedTransaction:
        changed[why] = _sign(policy, (0, 1))
        return changed[why]

    good = list(_sign(policy, (0, 1)).signatures)
    one = change("one signature is missing")
    one.signatures[1] = b""
    three = change("a signature more than the threshold")
    three.signatures[2] = _sign(policy, (0, 2)).signatures[2]
    change("the signatures are in each other's places").signatures[:] = [good[1], good[0], b""]
    change("one signature is in two places").signatures[:] = [good[0], good[0], b""]
    change("a place is missing").signatures.pop()
    change("a stranger has signed").signatures[1] = sign_for_policy(
        policy, _body(), KEYS[0], GENESIS_HASH
    )
    alone = change("a member has signed for its own account")
    alone.signatures[1] = MEMBERS[1].sign(SigningContext.TX, GENESIS_HASH, _body())
    change("the signatures are for another threshold").policy.threshold = 1
    change("another threshold, and its number of signatures").MergeFrom(
        transaction_pb2.SignedTransaction(policy=transaction_pb2.KeyPolicy(threshold=1))
    )
    changed["another threshold, and its number of signatures"].signatures[1] = b""
    change("the threshold is zero").policy.threshold = 0
    change("the threshold is above the number of keys").policy.threshold = 4
    keys = change("the keys are not in order").policy.public_keys
    keys[0], keys[1] = keys[1], keys[0]
    change("a key is there twice").policy.public_keys[1] = policy.public_keys[0]
    single = change("there is one key").policy
    single.threshold, single.public_keys[1:] = 1, []
    both = change("there is a single key beside the policy")
    both.public_key = MEMBERS[0].public_key
    return changed


def _refused(why: str, message: transaction_pb2.SignedTransaction) -> dict[str, Any]:
    raw = canonical.encode(message)
    try:
        decode_transaction(raw, ChainIdentity(CHAIN, GENESIS_HASH))
    except RefusalError as refusal:
        return {"why": why, "code": refusal.code.value, "raw": raw.hex()}
    raise AssertionError(f"accepted, although {why}")
