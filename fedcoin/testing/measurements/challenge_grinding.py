"""Measure what a proposer gains by trying many challenges, under two rules for the challenge.

The first design derived the challenge from the certificate that the next block records. That
block's proposer chooses which precommits to record, and can sign its own precommit again and again,
because Ed25519 accepts a signature with any nonce (RFC 8032, section 5.1.6, derives the nonce, but
a verifier cannot check that). The rule in force derives it from the salts that miners committed to.
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

GENESIS_HASH = sha256(b"the study's network")
"""The genesis hash that the study's votes sign."""

SAMPLES = 500
"""The number of leaves of each miner."""
CHALLENGED_LEAVES = 44
"""The number of leaves that a challenge asks for."""


@dataclass(frozen=True)
class GrindingSuccess:
    """How often a proposer that can choose among several challenges gains by it."""

    # "certificate" or "salts".
    rule: str
    # How many challenges the proposer could choose from.
    tries: int
    # The share of its leaves that a miner forged.
    fraction: float
    # The share of the tasks in which at least one challenge hit none of the forged leaves.
    passed: float
    # The share of the tasks with schedule EXACT in which at least one challenge made the proposer,
    # one of four miners, the winner.
    won: float


def list_certificates(validators: int, quorum: int, signatures: int) -> Iterator[bytes]:
    """List the certificates of one block that its successor's proposer can record.

    Args:
        validators: How many validators precommitted; the first one is the proposer.
        quorum: The smallest number of precommits that makes a certificate.
        signatures: How many further, different signatures of its own precommit the proposer makes.

    Yields:
        Serialised Certificates: first one of each set of at least `quorum` validators, then one of
        all validators with each further signature of the proposer.
    """
    seeds = [sha256(b"validator", bytes([i])) for i in range(validators)]
    keys = [KeyPair.from_seed(seed) for seed in seeds]
    block = sha256(b"block")
    votes = [sign_vote(PRECOMMIT, 7, 0, block, key, GENESIS_HASH) for key in keys]
    for size in range(quorum, validators + 1):
        for members in combinations(range(validators), size):
            yield make_certificate([votes[i] for i in members])
    for number in range(signatures):
        own = _sign_again(seeds[0], keys[0], votes[0], number)
        yield make_certificate([own, *votes[1:]])


def measure_grinding(tasks: int, signatures: int, fraction: float) -> list[GrindingSuccess]:
    """Measure how often a proposer that may choose the challenge hides a forgery or wins a task.

    The proposer is one of four validators. It tries all challenges that the rule lets it choose
    from: many where the certificate decides the challenge, one where the miners' salts decide it.

    Args:
        tasks: The number of tasks to try.
        signatures: How often the proposer signs its own precommit again for another certificate.
        fraction: The share of the miner's 500 leaves that are forged, 0 to 1.

    Returns:
        Two results: under the rule "certificate", then under the rule "salts".
    """
    certificates = list(list_certificates(4, 3, signatures))
    own = sha256(b"validator", bytes([0]))
    passed = {"certificate": 0, "salts": 0}
    won = {"certificate": 0, "salts": 0}
    for number in range(tasks):
        task_id = sha256(b"task", number.to_bytes(4, "big"))
        forged = _forged_leaves(number, fraction)
        challenges = {
            "certificate": [_certificate_challenge(task_id, c) for c in certificates],
            "salts": [derive_challenge(task_id, 0, _salts(number, 4))],
        }
        for rule, tried in challenges.items():
            passed[rule] += any(_misses(challenge, own, forged) for challenge in tried)
            won[rule] += any(_first_miner_wins(challenge) for challenge in tried)
    return [
        GrindingSuccess(rule, tries, fraction, passed[rule] / tasks, won[rule] / tasks)
        for rule, tries in (("certificate", len(certificates)), ("salts", 1))
    ]


def measure_collusion(tasks: int, withholders: int) -> float:
    """Measure how often colluding miners of seven win an EXACT task by withholding salts.

    Each withholder may keep its salt back, at the price of its deposit, once it knows all others;
    one further colluder always opens.

    Args:
        tasks: How many tasks to try.
        withholders: How many colluders may keep their salt back.

    Returns:
        The share of the tasks that one of the `withholders` + 1 colluders can win.
    """
    num_won = 0
    for number in range(tasks):
        task_id = sha256(b"task", number.to_bytes(4, "big"))
        salts = _salts(number, 7)
        num_won += any(
            _find_winner(task_id, {a: s for a, s in salts.items() if a[0] not in withheld})
            <= withholders
            for size in range(withholders + 1)
            for withheld in combinations(range(withholders), size)
        )
    return num_won / tasks


def _sign_again(seed: bytes, key: KeyPair, vote: Vote, number: int) -> Vote:
    """Sign a vote with a nonce of the signer's choice, which gives another valid signature."""
    hashed = hashlib.sha512(seed).digest()
    secret = bytearray(hashed[:32])
    secret[0] &= 248
    secret[31] = (secret[31] & 127) | 64
    message = signing_digest(SigningContext.VOTE, GENESIS_HASH, vote.envelope.body)
    nonce = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(b"nonce" + number.to_bytes(8, "big")).digest()
    )
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(point + key.public_key + message).digest()
    )
    reduced = bindings.crypto_core_ed25519_scalar_reduce(bytes(secret) + bytes(32))
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, reduced)
    response = bindings.crypto_core_ed25519_scalar_add(nonce, product)
    envelope = SignedVote(
        body=vote.envelope.body, public_key=key.public_key, signature=point + response
    )
    return decode_vote(envelope, GENESIS_HASH)


def _certificate_challenge(task_id: bytes, certificate: bytes) -> bytes:
    """Derive a challenge by the rule of the first design."""
    return hashlib.sha256(
        b"fedcoin/challenge/v1\x00" + task_id + hashlib.sha256(certificate).digest()
    ).digest()


def _salts(number: int, miners: int) -> dict[bytes, bytes]:
    return {
        bytes([i]) * 20: sha256(b"salt", bytes([i]), number.to_bytes(4, "big"))
        for i in range(miners)
    }


def _forged_leaves(number: int, fraction: float) -> frozenset[int]:
    rng = np.random.default_rng(number)
    return frozenset(rng.choice(SAMPLES, round(fraction * SAMPLES), replace=False).tolist())


def _misses(challenge: bytes, public_key: bytes, forged: frozenset[int]) -> bool:
    leaves = draw_challenged_leaves(challenge, public_key, SAMPLES, CHALLENGED_LEAVES)
    return forged.isdisjoint(leaves)


def _first_miner_wins(challenge: bytes) -> bool:
    reveals = [Reveal(bytes([i]) * 20, 1, 1, (0,)) for i in range(4)]
    outcome = compute_outcome(reveals, 1, challenge, is_drawn=True, min_samples_percent=25)
    assert outcome is not None
    return outcome.winner == bytes(20)


def _find_winner(task_id: bytes, salts: dict[bytes, bytes]) -> int:
    """Find the index of the winner of an EXACT task if the miners with these salts open."""
    reveals = [Reveal(address, 1, 1, (0,)) for address in salts]
    challenge = derive_challenge(task_id, 0, salts)
    outcome = compute_outcome(reveals, 1, challenge, is_drawn=True, min_samples_percent=25)
    assert outcome is not None
    return outcome.winner[0]
