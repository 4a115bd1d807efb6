"""The coordinator of a private campaign sends model and base to its clients, and to nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.artifacts.reader_proofs import sign_reader_proof
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.errors import RefusalError
from fedcoin.network.artifacts.client_admission import ClientAdmission, ClientArtifacts
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.artifact_pb2 import ReaderProof
from tests.support.keys import ALICE, BOB, STRANGER

NOW = 1_800_000_000_000
GENESIS, CAMPAIGN = b"g" * 32, b"c" * 32
MODEL, OTHER = b"m" * 32, b"u" * 32


def proof(**changes: Any) -> ReaderProof:
    given = {
        "key": ALICE,
        "genesis_hash": GENESIS,
        "server": BOB.public_key,
        "campaign_id": CAMPAIGN,
        "expires_ms": NOW + 1000,
        "context": SigningContext.CLIENT_READER,
        **changes,
    }
    return sign_reader_proof(**given)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path, 1 << 20)


@pytest.fixture
def admission(store: ArtifactStore) -> ClientAdmission:
    present = ClientArtifacts(CAMPAIGN, {ALICE.address}, {MODEL})
    return ClientAdmission(store, GENESIS, BOB.public_key, lambda: present, lambda: NOW)


def test_a_listed_client_gets_what_it_trains_from(
    admission: ClientAdmission, store: ArtifactStore
) -> None:
    assert admission.readable(MODEL, proof()) is store
    assert admission.writable(None) is store


@pytest.mark.parametrize(
    ("id", "given", "code"),
    [
        (MODEL, None, NetworkCode.ARTIFACT_NOT_FOUND),
        (OTHER, proof(), NetworkCode.NOT_A_READER),
        (MODEL, proof(key=STRANGER), NetworkCode.NOT_A_READER),
        (MODEL, proof(campaign_id=bytes(32)), NetworkCode.NOT_A_READER),
        (MODEL, proof(server=ALICE.public_key), NetworkCode.BAD_READER_PROOF),
        (MODEL, proof(expires_ms=NOW), NetworkCode.BAD_READER_PROOF),
        (MODEL, proof(genesis_hash=bytes(32)), NetworkCode.BAD_READER_PROOF),
        (MODEL, proof(context=SigningContext.READER), NetworkCode.BAD_READER_PROOF),
    ],
)
def test_nobody_gets_anything_else(
    admission: ClientAdmission, id: bytes, given: ReaderProof | None, code: NetworkCode
) -> None:
    with pytest.raises(RefusalError) as refused:
        admission.readable(id, given)
    assert refused.value.code is code
