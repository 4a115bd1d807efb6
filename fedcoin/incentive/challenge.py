"""Which leaves a miner has to show.

The challenge comes from the certificate of the block that closed the commit window. A proposer
chooses what is in its block, but not the other validators' signatures over it, so nobody knows the
challenge while it can still change a commitment.
"""

from __future__ import annotations

import hashlib

from fedcoin.incentive.streams import HashStream

_CHALLENGE = b"fedcoin/challenge/v1\x00"
_LEAVES = b"fedcoin/challenged-leaves/v1\x00"


def challenge_of(task_id: bytes, certificate: bytes) -> bytes:
    """SHA-256("fedcoin/challenge/v1" 00 || task id || SHA-256(certificate)): 32 bytes.

    ``certificate`` is the exact bytes that the next block records as its last certificate.
    """
    return hashlib.sha256(_CHALLENGE + task_id + hashlib.sha256(certificate).digest()).digest()


def challenged_leaves(challenge: bytes, public_key: bytes, samples: int, q: int) -> tuple[int, ...]:
    """The ``min(q, samples)`` different leaves that this miner has to show, rising.

    All of them when ``q >= samples``. Otherwise each set of q leaves is equally likely (R. Floyd's
    algorithm over the stream seeded with SHA-256("fedcoin/challenged-leaves/v1" 00 || challenge ||
    public key)). ``samples`` is from 1 to 2**32; memory is in proportion to the result. Raises
    ``ValueError`` for a ``q`` below 1: unchallenged evidence proves nothing.
    """
    if q < 1:
        raise ValueError(f"at least one leaf must be challenged, not {q}")
    if q >= samples:
        return tuple(range(samples))
    stream = HashStream(hashlib.sha256(_LEAVES + challenge + public_key).digest())
    chosen: set[int] = set()
    for last in range(samples - q, samples):
        drawn = stream.below(last + 1)
        chosen.add(last if drawn in chosen else drawn)
    return tuple(sorted(chosen))
