"""Trying many challenges: what it would buy, and what is left to try.

The first design drew the challenge from the certificate that the next block records. Its proposer
chooses which precommits to record, and can sign its own again as often as it likes, since Ed25519
takes a signature with any nonce. Here both rules are tried with the same forger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from nacl import bindings

from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.posap import Reveal, compute_outcome
from fedcoin.data.crypto.hashing import SigningContext, sha256, signing_digest
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import PRECOMMIT, Vote, decode_vote, sign_vote
from fedcoin.incentive.proof.challenge import derive_challenge, draw_challenged_leaves
from fedcoin.v1.vote_pb2 import SignedVote

CHAIN_ID = "grinding"
SAMPLES = 500
Q = 44


def signed_again(seed: bytes, key: KeyPair, vote: Vote, number: int) -> Vote:
    """The same vote with another valid signature: Ed25519 with a nonce of the signer's choice."""
    hashed = hashlib.sha512(seed).digest()
    secret = bytearray(hashed[:32])
    secret[0] &= 248
    secret[31] = (secret[31] & 127) | 64
    message = signing_digest(SigningContext.VOTE, CHAIN_ID, vote.envelope.body)
    nonce = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(b"nonce" + number.to_bytes(8, "big")).digest()
    )
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(point + key.public_key + message).digest()
    )
    reduced = bindings.crypto_core_ed25519_scalar_reduce(bytes(secret) + bytes(32))
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, reduced)
    answer = bindings.crypto_core_ed25519_scalar_add(nonce, product)
    envelope = SignedVote(
        body=vote.envelope.body, public_key=key.public_key, signature=point + answer
    )
    return decode_vote(envelope, CHAIN_ID)


def certificates(validators: int, quorum: int, again: int) -> Iterator[bytes]:
    """All that one proposer can record: every quorum, and its own signature ``again`` times."""
    seeds = [sha256(b"validator", bytes([i])) for i in range(validators)]
    keys = [KeyPair.from_seed(seed) for seed in seeds]
    block = sha256(b"block")
    votes = [sign_vote(PRECOMMIT, 7, 0, block, key, CHAIN_ID) for key in keys]
    for size in range(quorum, validators + 1):
        for members in combinations(range(validators), size):
            yield make_certificate([votes[i] for i in members])
    for number in range(again):
        own = signed_again(seeds[0], keys[0], votes[0], number)
        yield make_certificate([own, *votes[1:]])


def old_challenge(task_id: bytes, certificate: bytes) -> bytes:
    """The rule of the first design."""
    return hashlib.sha256(
        b"fedcoin/challenge/v1\x00" + task_id + hashlib.sha256(certificate).digest()
    ).digest()


@dataclass(frozen=True)
class GrindingSuccess:
    """What so many tries bought."""

    rule: str
    tries: int
    fraction: float
    """Forged."""
    passed: float
    """Share of the tasks in which some try passed all challenged leaves."""
    won: float
    """Share of the EXACT tasks in which some try made the proposer, one of four, the winner."""


def ground(tasks: int, again: int, fraction: float) -> list[GrindingSuccess]:
    """Both rules against one proposer among four."""
    recorded = list(certificates(4, 3, again))
    old_passed = old_won = new_passed = new_won = 0
    for number in range(tasks):
        task_id = sha256(b"task", number.to_bytes(4, "big"))
        forged = _forged(number, fraction)
        own = sha256(b"validator", bytes([0]))
        old = [old_challenge(task_id, certificate) for certificate in recorded]
        old_passed += any(_unseen(c, own, forged) for c in old)
        old_won += any(_wins(c) for c in old)
        new = _new_challenge(task_id, number)
        new_passed += _unseen(new, own, forged)
        new_won += _wins(new)
    return [
        GrindingSuccess(
            "certificate", len(recorded), fraction, old_passed / tasks, old_won / tasks
        ),
        GrindingSuccess("salts", 1, fraction, new_passed / tasks, new_won / tasks),
    ]


def colluders(tasks: int, withheld: int) -> float:
    """How often ``withheld`` + 1 of seven miners win an EXACT task between them when each but one
    may keep its salt back, at the price of its deposit, once the others' are known."""
    won = 0
    for number in range(tasks):
        task_id = sha256(b"task", number.to_bytes(4, "big"))
        salts = {
            bytes([i]) * 20: sha256(b"salt", bytes([i]), number.to_bytes(4, "big"))
            for i in range(7)
        }
        won += any(
            _drawn(task_id, {a: s for a, s in salts.items() if a[0] not in kept}) <= withheld
            for size in range(withheld + 1)
            for kept in combinations(range(withheld), size)
        )
    return won / tasks


def _drawn(task_id: bytes, salts: dict[bytes, bytes]) -> int:
    reveals = [Reveal(address, 1, 1, (0,)) for address in salts]
    outcome = compute_outcome(
        reveals, 1, derive_challenge(task_id, 0, salts), exact=True, min_samples_percent=25
    )
    assert outcome is not None
    return outcome.winner[0]


def _new_challenge(task_id: bytes, number: int) -> bytes:
    salts = {
        bytes([i]) * 20: sha256(b"salt", bytes([i]), number.to_bytes(4, "big")) for i in range(4)
    }
    return derive_challenge(task_id, 0, salts)


def _forged(number: int, fraction: float) -> frozenset[int]:
    rng = np.random.default_rng(number)
    return frozenset(rng.choice(SAMPLES, round(fraction * SAMPLES), replace=False).tolist())


def _unseen(challenge: bytes, public_key: bytes, forged: frozenset[int]) -> bool:
    return forged.isdisjoint(draw_challenged_leaves(challenge, public_key, SAMPLES, Q))


def _wins(challenge: bytes) -> bool:
    reveals = [Reveal(bytes([i]) * 20, 1, 1, (0,)) for i in range(4)]
    outcome = compute_outcome(reveals, 1, challenge, exact=True, min_samples_percent=25)
    assert outcome is not None
    return outcome.winner == bytes(20)
