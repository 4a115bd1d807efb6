"""Derive a task's challenge from the opened salts, and from it the leaves that a miner shows.

Every miner commits to its samples together with a salt of 32 random bytes. When no commitment can
be added any more, the miners open their salts, and the challenge is a hash over all of them. No
miner knew another one's salt when it committed, so that none could choose its own to suit the
challenge, and a proposer has no influence on it either. What remains is to keep a salt back: this
costs the deposit and the samples, and c colluding miners choose among at most 2^c challenges
(docs/adr/0013). How many leaves are challenged is the network's parameter `challenge_leaves`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fedcoin.incentive.proof.hash_stream import HashStream

_CHALLENGE = b"fedcoin/challenge/v2\x00"
_LEAVES = b"fedcoin/challenged-leaves/v1\x00"


def derive_challenge(task_id: bytes, attempt: int, salts: Mapping[bytes, bytes]) -> bytes:
    """Hash the opened salts of one attempt at a task into its challenge.

    The challenge is SHA-256("fedcoin/challenge/v2" || 00 || task id (32 bytes) || attempt (4) ||
    number of salts (4) || address (20) and salt (32) of each miner, ordered by address), with
    numbers big-endian.

    Args:
        task_id: 32 bytes.
        attempt: The attempt's number, 0 for the first one; below 2**32.
        salts: The opened salts, 32 bytes each, by miner's address (20 bytes).

    Returns:
        The challenge, 32 bytes.
    """
    opened = b"".join(address + salts[address] for address in sorted(salts))
    numbers = attempt.to_bytes(4, "big") + len(salts).to_bytes(4, "big")
    return hashlib.sha256(_CHALLENGE + task_id + numbers + opened).digest()


def draw_challenged_leaves(
    challenge: bytes, public_key: bytes, samples: int, q: int
) -> tuple[int, ...]:
    """Draw the leaves that one miner has to show.

    Every set of q leaves is equally likely: R. Floyd's algorithm (Bentley and Floyd, "A sample of
    brilliance", CACM 30(9), 1987) over the `HashStream` of
    SHA-256("fedcoin/challenged-leaves/v1" || 00 || challenge || public key). Memory is in
    proportion to the result.

    Args:
        challenge: The task's challenge, 32 bytes.
        public_key: The miner's key, 32 bytes.
        samples: How many leaves the miner has, from 1 to 2**32.
        q: How many of them are challenged, at least 1; all when there are no more than q.

    Returns:
        `min(q, samples)` different leaf indices in ascending order.

    Raises:
        ValueError: `q` is below 1. Evidence of which nothing is challenged proves nothing.
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
