"""Checking a run of headers before their blocks are fetched.

Headers name their parents, so that one good certificate vouches for all headers below it.
Which validators have to sign is known for as long as the set stays the one that this node
knows: the prefix up to there is certified, and the rest is left for the next run, when the
blocks in between have been executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_gossip_service_pb2 import CertifiedHeader


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of a chain."""

    height: int
    hash: bytes


def certified_prefix(
    tip: Tip,
    validators: ValidatorSet,
    chain_id: str,
    headers: Sequence[CertifiedHeader],
    verified_votes: VerifiedVotes | None = None,
) -> list[Tip]:
    """Heights and hashes of the headers that surely are final, in order from `tip` on.

    `validators` decide the height after `tip`; `verified_votes` are the node's, which a
    certificate that is checked here adds to. Raises Refusal when the headers are malformed,
    do not follow one another, or the certificate of the last one is wrong.
    """
    known = validators.hash()
    found: list[Tip] = []
    for certified in headers:
        header = decode_header(certified.header)
        if header.chain_id != chain_id or header.height != tip.height + 1:
            raise _broken(f"{header.chain_id!r} {header.height} stands where {tip.height + 1} is")
        if header.parent_hash != tip.hash:
            raise _broken(f"{header.height} does not name the header before it as its parent")
        tip = Tip(header.height, sha256(certified.header))
        found.append(tip)
        if header.next_validators_hash != known:
            break
    if found:
        certificate = headers[len(found) - 1].certificate
        verify_certificate(certificate, validators, chain_id, tip.height, tip.hash, verified_votes)
    return found


def _broken(why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"headers: {why}", field="headers")
