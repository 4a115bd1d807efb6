"""The handshake's rules, without a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.data.protocol import PROTOCOL_VERSION
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import (
    MAX_NONCES,
    MAX_NONCES_OF_HOST,
    NONCE_LIFETIME_S,
    Identity,
    NonceTable,
    PendingHandshake,
    Role,
    Transcript,
    check_identity,
    check_proof,
    encode_identity,
    sign_proof,
)
from fedcoin.v1.peer_service_pb2 import NodeIdentity
from tests.support.genesis import CHAIN_ID
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis

GENESIS = make_network_genesis(time_ms=1_700_000_000_000)
OWN = MINERS[0].public_key
OTHER = MINERS[1].public_key
NONCE = b"n" * 32
TRANSCRIPT = Transcript(GENESIS.hash, OTHER, OWN, NONCE, b"m" * 32, "127.0.0.1:7050")
OTHER_TRANSCRIPTS = [
    replace(TRANSCRIPT, genesis_hash=bytes(32)),
    replace(TRANSCRIPT, caller_key=MINERS[2].public_key),
    replace(TRANSCRIPT, server_key=MINERS[2].public_key),
    replace(TRANSCRIPT, caller_nonce=b"x" * 32),
    replace(TRANSCRIPT, server_nonce=b"x" * 32),
    replace(TRANSCRIPT, address="127.0.0.1:7051"),
]


def identity(**changes: Any) -> NodeIdentity:
    message = encode_identity(GENESIS, OTHER, "test/1", "127.0.0.1:7050", 5)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_a_good_identity() -> None:
    found = check_identity(identity(), GENESIS, OWN)
    assert found == Identity(OTHER, "test/1", Endpoint("127.0.0.1", 7050), 5)
    assert check_identity(identity(listen_address=""), GENESIS, OWN).endpoint is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"chain_id": "other"}, NetworkCode.WRONG_CHAIN),
        ({"chain_id": "c" * 65}, NetworkCode.MALFORMED),
        ({"genesis_hash": bytes(32)}, NetworkCode.WRONG_GENESIS),
        ({"genesis_hash": bytes(31)}, NetworkCode.MALFORMED),
        ({"protocol_version": PROTOCOL_VERSION + 1}, NetworkCode.WRONG_PROTOCOL),
        ({"protocol_version": 0}, NetworkCode.WRONG_PROTOCOL),
        ({"agent": "a" * 65}, NetworkCode.MALFORMED),
        ({"agent": "a\nb"}, NetworkCode.MALFORMED),
        ({"node_key": b""}, NetworkCode.MALFORMED),
        ({"node_key": OWN}, NetworkCode.SELF_CONNECTION),
        ({"listen_address": "nonsense"}, NetworkCode.BAD_HOST),
        ({"listen_address": "unix:/run/socket"}, NetworkCode.BAD_HOST),
    ],
)
def test_bad_identities(changes: dict[str, Any], code: NetworkCode) -> None:
    with pytest.raises(RefusalError) as refused:
        check_identity(identity(**changes), GENESIS, OWN)
    assert refused.value.code is code
    assert refused.value.field == f"identity.{next(iter(changes))}"


def test_a_wrong_chain_is_reported_with_both_names() -> None:
    with pytest.raises(RefusalError, match=f"'other', but this node has '{CHAIN_ID}'"):
        check_identity(identity(chain_id="other"), GENESIS, OWN)


def test_a_proof_holds_for_one_role_chain_and_transcript() -> None:
    signature = sign_proof(MINERS[1], Role.CALLER, TRANSCRIPT)
    check_proof(signature, Role.CALLER, TRANSCRIPT)
    wrong: list[tuple[Any, ...]] = [
        (bytes(64), Role.CALLER, TRANSCRIPT),
        (b"", Role.CALLER, TRANSCRIPT),
        *((signature, Role.CALLER, other) for other in OTHER_TRANSCRIPTS),
    ]
    for arguments in wrong:
        with pytest.raises(RefusalError) as refused:
            check_proof(*arguments)
        assert refused.value.code is NetworkCode.BAD_PROOF


def test_an_answer_to_hello_is_no_proof_for_authenticate() -> None:
    # With one key on both sides, the role alone tells the two proofs apart.
    transcript = replace(TRANSCRIPT, server_key=OTHER)
    answer = sign_proof(MINERS[1], Role.SERVER, transcript)
    check_proof(answer, Role.SERVER, transcript)
    with pytest.raises(RefusalError) as refused:
        check_proof(answer, Role.CALLER, transcript)
    assert refused.value.code is NetworkCode.BAD_PROOF


CALLER = check_identity(identity(), GENESIS, OWN)
FROM = "ipv4:10.0.0.7:50000"


def pending(host: str = "10.0.0.7") -> PendingHandshake:
    return PendingHandshake(CALLER, NONCE, "127.0.0.1:7050", FROM, host)


def redeem_fails(nonces: NonceTable, *arguments: Any) -> None:
    with pytest.raises(RefusalError) as refused:
        nonces.redeem(*arguments)
    assert refused.value.code is NetworkCode.BAD_NONCE


def test_a_nonce_is_valid_once() -> None:
    nonces = NonceTable()
    nonce = nonces.issue(pending(), now=0.0)
    assert nonces.redeem(nonce, OTHER, FROM, now=9.9) == pending()
    redeem_fails(nonces, nonce, OTHER, FROM, 9.9)


def test_a_nonce_is_valid_for_ten_seconds_one_key_and_one_connection() -> None:
    nonces = NonceTable()
    for key, transport, now in [
        (OTHER, FROM, NONCE_LIFETIME_S),
        (OWN, FROM, 1.0),
        (OTHER, "ipv4:10.0.0.7:50001", 1.0),
    ]:
        nonce = nonces.issue(pending(), now=0.0)
        redeem_fails(nonces, nonce, key, transport, now)
        # A failed attempt uses the nonce up.
        redeem_fails(nonces, nonce, OTHER, FROM, 1.0)
    redeem_fails(nonces, b"invented", OTHER, FROM, 1.0)


def test_nonces_are_bounded_and_few_hosts_cannot_use_them_up() -> None:
    nonces = NonceTable()
    honest = nonces.issue(pending("10.9.9.9"), now=0.0)
    first = nonces.issue(pending("10.0.0.1"), now=0.0)
    for _ in range(MAX_NONCES_OF_HOST):
        nonces.issue(pending("10.0.0.1"), now=0.1)
    assert len(nonces) == 1 + MAX_NONCES_OF_HOST
    redeem_fails(nonces, first, OTHER, FROM, 1.0)
    for number in range(2 * MAX_NONCES):
        nonces.issue(pending(f"10.0.0.{number % 40 + 1}"), now=1.0)
    assert len(nonces) == MAX_NONCES
    assert nonces.redeem(honest, OTHER, FROM, now=1.0) == pending("10.9.9.9")
    nonces.issue(pending(), now=1.0 + NONCE_LIFETIME_S)
    assert len(nonces) == 1
