"""Check consecutive headers before their blocks are fetched.

Each header names its parent, so that one valid certificate proves all headers below it. This node
knows which validators must sign only up to the next change of the validator set: the headers up to
there are certified, and the rest is checked again when the blocks in between have been executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_gossip_service_pb2 import CertifiedHeader


@dataclass(frozen=True, slots=True)
class ChainTip:
    """The height and the hash of a block."""

    height: int
    """The block's height; 0 for genesis."""
    hash: bytes
    """The hash, 32 bytes."""


@dataclass(frozen=True, slots=True)
class CertifiedRun:
    """Consecutive headers that are proved to be final."""

    tips: tuple[ChainTip, ...]
    """Height and hash of each, in order."""
    is_last: bool
    """Whether the validator set changes after the last of them: those that follow can be checked
    only when the blocks up to there have been executed."""


def certify_run(
    tip: ChainTip,
    validators: ValidatorSet,
    genesis: Genesis,
    headers: Sequence[CertifiedHeader],
    verified_votes: VerifiedVotes | None = None,
) -> CertifiedRun:
    """Find those of some consecutive headers that a certificate proves to be final.

    Args:
        tip: The last block of this node's chain.
        validators: The validator set of the height after `tip`.
        genesis: The network's genesis.
        headers: Headers with certificates, from the height after `tip` on.
        verified_votes: A cache of votes whose signatures were verified; the votes of the checked
            certificate are added. None verifies every signature.

    Returns:
        The final headers.

    Raises:
        RefusalError: MALFORMED when a header is malformed or does not follow the one before it;
            BAD_CERTIFICATE when the certificate of the last final header is wrong.
    """
    known = validators.hash()
    is_last = False
    final: list[ChainTip] = []
    for certified in headers:
        header = decode_header(certified.header)
        if header.chain_id != genesis.chain_id or header.height != tip.height + 1:
            raise _broken(
                f"{header.chain_id!r} {header.height} is in the place of height {tip.height + 1}"
            )
        if header.parent_hash != tip.hash:
            raise _broken(f"{header.height} does not name the previous header as its parent")
        tip = ChainTip(header.height, sha256(certified.header))
        final.append(tip)
        if header.next_validators_hash != known:
            is_last = True
            break
    if final:
        certificate = headers[len(final) - 1].certificate
        verify_certificate(
            certificate, validators, genesis.hash, tip.height, tip.hash, verified_votes
        )
    return CertifiedRun(tuple(final), is_last)


def _broken(why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"headers: {why}", field="headers")
