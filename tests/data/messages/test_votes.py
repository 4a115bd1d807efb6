from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.votes import (
    PRECOMMIT,
    PREVOTE,
    decode_proposal,
    decode_vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.v1 import vote_pb2
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote
from tests.support.paths import read_vectors
from tests.support.sample_blocks import make_header

NETWORK = sha256(b"a genesis")
ELSEWHERE = sha256(b"another genesis")
KEY = KeyPair.from_seed(bytes(32))
HASH = b"h" * 32


def refused_vote(envelope: SignedVote, network: bytes = NETWORK) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_vote(envelope, network)
    return caught.value


def refused_proposal(envelope: SignedProposal, limit: int = 1 << 20) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_proposal(envelope, NETWORK, limit)
    return caught.value


def signed(body: bytes) -> SignedVote:
    return SignedVote(
        body=body, public_key=KEY.public_key, signature=KEY.sign(SigningContext.VOTE, NETWORK, body)
    )


@pytest.mark.parametrize("kind", [PREVOTE, PRECOMMIT])
@pytest.mark.parametrize("block_hash", [HASH, b""])
def test_signed_bytes_are_decoded(kind: int, block_hash: bytes) -> None:
    vote = sign_vote(kind, 7, 2, block_hash, KEY, NETWORK)
    assert decode_vote(vote.envelope, NETWORK) == vote
    assert (vote.kind, vote.height, vote.round) == (kind, 7, 2)
    assert (vote.block_hash, vote.public_key) == (block_hash, KEY.public_key)
    assert len({vote, vote}) == 1


def test_golden_votes() -> None:
    for vector in read_vectors("votes"):
        envelope = SignedVote.FromString(bytes.fromhex(vector["raw"]))
        read = decode_vote(envelope, bytes.fromhex(vector["genesis_hash"]))
        assert envelope.body.hex() == vector["body"]
        assert envelope.signature.hex() == vector["signature"]
        assert (read.kind, read.height, read.round) == tuple(vector["place"])
        assert (read.block_hash.hex(), read.audited) == (vector["block_hash"], vector["audited"])


def test_a_prevote_says_whether_its_block_was_audited() -> None:
    for audited in (True, False):
        vote = sign_vote(PREVOTE, 7, 2, HASH, KEY, NETWORK, audited=audited)
        read = decode_vote(vote.envelope, NETWORK)
        assert (read, read.audited) == (vote, audited)
    for kind, block_hash in ((PRECOMMIT, HASH), (PRECOMMIT, b""), (PREVOTE, b"")):
        refusal = refused_vote(
            sign_vote(kind, 7, 2, block_hash, KEY, NETWORK, audited=True).envelope
        )
        assert (refusal.code, refusal.field) == (DataCode.MALFORMED, "vote.audited")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (vote_pb2.Vote(height=1, block_hash=HASH), "vote.kind"),
        (vote_pb2.Vote(kind=3, height=1), "vote.kind"),  # type: ignore[arg-type]
        (vote_pb2.Vote(kind=vote_pb2.VOTE_KIND_PREVOTE), "vote.height"),
        (vote_pb2.Vote(kind=vote_pb2.VOTE_KIND_PREVOTE, height=2**63), "vote.height"),
        (vote_pb2.Vote(kind=vote_pb2.VOTE_KIND_PREVOTE, height=1, round=2**32 - 1), "vote.round"),
        (
            vote_pb2.Vote(kind=vote_pb2.VOTE_KIND_PREVOTE, height=1, block_hash=b"short"),
            "vote.block_hash",
        ),
    ],
)
def test_votes_out_of_range(body: vote_pb2.Vote, field: str) -> None:
    refusal = refused_vote(signed(canonical.encode(body)))
    assert refusal.code is DataCode.MALFORMED
    assert refusal.field == field


def test_votes_that_are_not_theirs() -> None:
    vote = sign_vote(PREVOTE, 7, 2, HASH, KEY, NETWORK)
    assert refused_vote(vote.envelope, ELSEWHERE).code is DataCode.BAD_SIGNATURE
    other = sign_vote(PREVOTE, 7, 3, HASH, KEY, NETWORK)
    mixed = SignedVote(
        body=other.envelope.body, public_key=KEY.public_key, signature=vote.envelope.signature
    )
    assert refused_vote(mixed).code is DataCode.BAD_SIGNATURE


def test_malformed_votes() -> None:
    vote = sign_vote(PREVOTE, 7, 2, HASH, KEY, NETWORK).envelope
    assert refused_vote(signed(vote.body + b"\x78\x01")).code is DataCode.MALFORMED
    assert refused_vote(signed(b"x" * 129)).code is DataCode.TOO_LARGE
    for part in ("public_key", "signature"):
        bad = SignedVote()
        bad.CopyFrom(vote)
        setattr(bad, part, b"")
        assert refused_vote(bad).code is DataCode.MALFORMED


@given(st.binary(max_size=130), st.binary(max_size=33), st.binary(max_size=65))
def test_any_bytes_are_refused(body: bytes, public_key: bytes, signature: bytes) -> None:
    refused_vote(SignedVote(body=body, public_key=public_key, signature=signature))


@pytest.fixture
def block() -> Block:
    made: Block = build_block(make_header(7, HASH), b"certificate", [b"tx"])
    return made


def test_a_proposal_is_read(block: Block) -> None:
    for valid_round in (-1, 0, 1):
        made = sign_proposal(7, 2, valid_round, block, KEY, NETWORK)
        assert decode_proposal(made.envelope, NETWORK) == made
        assert made.valid_round == valid_round


def test_golden_proposals() -> None:
    for vector in read_vectors("proposals"):
        envelope = SignedProposal.FromString(bytes.fromhex(vector["raw"]))
        read = decode_proposal(envelope, bytes.fromhex(vector["genesis_hash"]))
        assert envelope.body.hex() == vector["body"]
        assert envelope.signature.hex() == vector["signature"]
        assert (read.height, read.round, read.valid_round) == tuple(vector["place"])
        assert read.block_hash.hex() == vector["block_hash"]


def test_proposals_out_of_range(block: Block) -> None:
    late = sign_proposal(7, 2, 2, block, KEY, NETWORK)
    assert refused_proposal(late.envelope).field == "proposal.valid_round_plus_one"
    short = sign_proposal(7, 2, -1, replace(block, hash=b""), KEY, NETWORK)
    assert refused_proposal(short.envelope).field == "proposal.block_hash"
    nowhere = sign_proposal(0, 2, -1, block, KEY, NETWORK)
    assert refused_proposal(nowhere.envelope).field == "proposal.height"


def test_proposals_of_another_block(block: Block) -> None:
    wrong = sign_proposal(7, 2, -1, replace(block, hash=HASH), KEY, NETWORK)
    assert refused_proposal(wrong.envelope).field == "proposal.block_hash"
    higher = sign_proposal(8, 2, -1, block, KEY, NETWORK)
    assert refused_proposal(higher.envelope).field == "proposal.block_hash"
    garbage = sign_proposal(7, 2, -1, replace(block, raw=b"\xff"), KEY, NETWORK)
    assert refused_proposal(garbage.envelope).code is DataCode.MALFORMED


def test_proposals_that_are_too_large_or_unsigned(block: Block) -> None:
    made = sign_proposal(7, 2, -1, block, KEY, NETWORK)
    assert refused_proposal(made.envelope, len(block.raw) - 1).code is DataCode.TOO_LARGE
    bad = SignedProposal()
    bad.CopyFrom(made.envelope)
    bad.signature = bytes(64)
    assert refused_proposal(bad).code is DataCode.BAD_SIGNATURE
