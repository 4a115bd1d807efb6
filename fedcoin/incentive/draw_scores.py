"""Scores by which one of several miners is drawn, each with a chance in proportion to its power.

Weighted rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit
rates", IEEE/ACM Transactions on Networking 6(1), 1998; weights after Schindelhauer and Schomaker,
"Weighted distributed hash tables", SPAA 2005). With u uniform in (0, 1], power / -log2(u) is the
larger the shorter an exponential waiting time of rate `power` is. So the highest of several scores
belongs to a miner with the probability of its power among all, and a miner that splits its power
over several addresses has the same chance with them as with one.

A score depends on the challenge, one address and one power alone: a miner that drops out leaves the
order of the others unchanged.
"""

from __future__ import annotations

from typing import Final

from fedcoin.data.crypto.hashing import sha256

_CONTEXT: Final = b"fedcoin/draw/v1\0"
_HASH_BITS: Final = 256
_LOG_BITS: Final = 64
_MANTISSA_BITS: Final = 128
_SCORE_BITS: Final = 128


def compute_score(challenge: bytes, miner: bytes, power: int) -> int:
    """Compute the score of one miner.

    It is floor(power x 2^128 / c), with c = `negative_log2` of
    SHA-256("fedcoin/draw/v1" || 00 || challenge || address) as a big-endian number.

    Args:
        challenge: The task's challenge, 32 bytes.
        miner: The miner's address, 20 bytes.
        power: Its power in sap, at least 0.

    Returns:
        The score, at least 0; the highest one is drawn. 0 without power.
    """
    ticket = int.from_bytes(sha256(_CONTEXT, challenge, miner), "big")
    return (power << _SCORE_BITS) // negative_log2(ticket)


def negative_log2(number: int) -> int:
    """Compute -log2((number + 1) / 2^256) in fixed point with 64 fractional bits.

    The logarithm of the mantissa is found bit by bit by squaring, each square rounded down to 128
    fractional bits (Knuth, "The Art of Computer Programming", volume 1, section 1.2.2, exercise
    25), so that all machines get the same integer.

    Args:
        number: From 0 to 2^256 - 1.

    Returns:
        The logarithm times 2^64; at least 1. It is rounded up, but the squares that were rounded
        down may add to it.
    """
    shifted = number + 1
    exponent = shifted.bit_length() - 1
    mantissa = (shifted << _MANTISSA_BITS) >> exponent
    logarithm = exponent
    for _ in range(_LOG_BITS):
        mantissa = mantissa * mantissa >> _MANTISSA_BITS
        is_two = mantissa >> (_MANTISSA_BITS + 1)
        mantissa >>= is_two
        logarithm = logarithm << 1 | is_two
    return max(1, (_HASH_BITS << _LOG_BITS) - logarithm)
