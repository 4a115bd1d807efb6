"""Second certificates of blocks that validators of a test made final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fedcoin.consensus.certificates import make_certificate
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.v1.vote_pb2 import Certificate


def with_second_certificate(
    payment: Mapping[str, Any], keys: Iterable[KeyPair], genesis_hash: bytes
) -> dict[str, Any]:
    """Have the signers of a payment's block sign it in another round, too.

    Args:
        payment: A member of a proof file's `payments`.
        keys: The keys of its signers, and others.
        genesis_hash: The genesis hash of the network, 32 bytes.

    Returns:
        The payment with another certificate of the same block.
    """
    raw = bytes.fromhex(payment["header"])
    signers = Certificate.FromString(bytes.fromhex(payment["certificate"])).precommits
    known = {key.public_key: key for key in keys}
    height = decode_header(raw).height
    votes = [
        sign_vote(PRECOMMIT, height, 1, sha256(raw), known[vote.public_key], genesis_hash)
        for vote in signers
    ]
    return {**payment, "certificate": make_certificate(votes).hex()}
