"""Which leaves a miner has to show.

The challenge comes from the salts of all miners' commitments, opened once no commitment can change
any more. Each salt was bound by its commitment before any other was known, so nobody can choose
one to suit it: a proposer, which can try many blocks and many certificates, has nothing to try.
What remains is not to open: it costs the deposit and the samples, and c miners that work together
have 2^c outcomes to choose from at most, each but one at a price.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fedcoin.incentive.proof.hash_stream import HashStream

_CHALLENGE = b"fedcoin/challenge/v2\x00"
_LEAVES = b"fedcoin/challenged-leaves/v1\x00"


def derive_challenge(task_id: bytes, attempt: int, salts: Mapping[bytes, bytes]) -> bytes:
    """The challenge of one attempt at a task, 32 bytes.

    ``salts`` are those of the opened commitments, 32 bytes each, by miner's address (20 bytes).
    SHA-256("fedcoin/challenge/v2" 00 || task id (32) || attempt (4) || number of salts (4) || for
    each, in the order of the addresses, address || salt), numbers big-endian.
    """
    opened = b"".join(address + salts[address] for address in sorted(salts))
    numbers = attempt.to_bytes(4, "big") + len(salts).to_bytes(4, "big")
    return hashlib.sha256(_CHALLENGE + task_id + numbers + opened).digest()


def draw_challenged_leaves(
    challenge: bytes, public_key: bytes, samples: int, q: int
) -> tuple[int, ...]:
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
        drawn = stream.draw_below(last + 1)
        chosen.add(last if drawn in chosen else drawn)
    return tuple(sorted(chosen))
