"""A proof of a reader holds for one key, one server, one campaign, one network and some minutes."""

from __future__ import annotations

import pytest

from fedcoin.data.artifacts.reader_proofs import (
    MAX_VALIDITY_MS,
    Reader,
    ReaderKey,
    sign_reader_proof,
    verify_reader_proof,
)
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ReaderProof, ReaderStatement
from tests.conftest import ReportAttack
from tests.support.keys import ALICE, BOB

NOW = 1_800_000_000_000
GENESIS, OTHER_GENESIS = b"g" * 32, b"h" * 32
SERVER, CAMPAIGN = BOB.public_key, b"c" * 32


def proof(**changes: object) -> ReaderProof:
    given = {
        "key": ALICE,
        "genesis_hash": GENESIS,
        "server": SERVER,
        "campaign_id": CAMPAIGN,
        "expires_ms": NOW + 1000,
        **changes,
    }
    return sign_reader_proof(**given)  # type: ignore[arg-type]


def test_a_proof_says_who_asks_for_what() -> None:
    assert verify_reader_proof(proof(), GENESIS, SERVER, NOW) == Reader(ALICE.address, CAMPAIGN)


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (proof(server=ALICE.public_key), DataCode.MALFORMED, "proof.body.server"),
        (proof(expires_ms=NOW), DataCode.MALFORMED, "proof.body.expires_ms"),
        (
            proof(expires_ms=NOW + MAX_VALIDITY_MS + 1),
            DataCode.MALFORMED,
            "proof.body.expires_ms",
        ),
        (proof(genesis_hash=OTHER_GENESIS), DataCode.BAD_SIGNATURE, "proof.signature"),
        (proof(context=SigningContext.CLIENT_READER), DataCode.BAD_SIGNATURE, "proof.signature"),
        (proof(campaign_id=b"c"), DataCode.MALFORMED, "proof.body.campaign_id"),
        (proof(server=b"s"), DataCode.MALFORMED, "proof.body.server"),
        (ReaderProof(body=b"x" * 129), DataCode.TOO_LARGE, "proof.body"),
        (ReaderProof(), DataCode.MALFORMED, "proof.public_key"),
    ],
)
def test_other_proofs_are_refused(given: ReaderProof, code: DataCode, field: str) -> None:
    with pytest.raises(RefusalError) as refused:
        verify_reader_proof(given, GENESIS, SERVER, NOW)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_proof_cannot_be_changed_or_taken_over(report_attack: ReportAttack) -> None:
    signed = proof()
    taken = ReaderProof(body=signed.body, public_key=BOB.public_key, signature=signed.signature)
    longer = ReaderStatement(server=SERVER, campaign_id=CAMPAIGN, expires_ms=NOW + 2000)
    changed = ReaderProof(
        body=canonical.encode(longer), public_key=ALICE.public_key, signature=signed.signature
    )
    # A signature of the same bytes for another purpose.
    other = ReaderProof(
        body=signed.body,
        public_key=ALICE.public_key,
        signature=ALICE.sign(SigningContext.HELLO, GENESIS, signed.body),
    )
    unknown_field = ReaderProof(
        body=signed.body + b"\x20\x01",
        public_key=ALICE.public_key,
        signature=ALICE.sign(SigningContext.READER, GENESIS, signed.body + b"\x20\x01"),
    )
    for forged in (taken, changed, other, unknown_field):
        with pytest.raises(RefusalError):
            verify_reader_proof(forged, GENESIS, SERVER, NOW)
    report_attack(
        "show a changed or a stolen proof of a private campaign's reader",
        "every caller gets every artifact by its id",
        "refused, as is the same signature for another purpose",
    )


def test_a_proof_is_signed_again_when_half_of_its_time_has_passed() -> None:
    now = NOW
    key = ReaderKey(ALICE, GENESIS, lambda: now)
    first = key.prove(SERVER, CAMPAIGN)
    now += 60_000
    assert key.prove(SERVER, CAMPAIGN) is first
    assert key.prove(ALICE.public_key, CAMPAIGN) != first
    now += 120_000
    again = key.prove(SERVER, CAMPAIGN)
    assert again != first
    assert verify_reader_proof(again, GENESIS, SERVER, now).address == key.address
