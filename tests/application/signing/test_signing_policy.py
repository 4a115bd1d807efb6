"""What a validator's key signs, and what it never signs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.signed_marks import SignedMarksFile
from fedcoin.application.signing.signing_policy import SIGNED_ACTIONS, SigningPolicy
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ReaderStatement
from fedcoin.v1.transaction_pb2 import TransactionBody
from fedcoin.v1.vote_pb2 import Proposal, Vote, VoteKind

GENESIS = b"g" * 32
PREVOTE, PRECOMMIT = VoteKind.VOTE_KIND_PREVOTE, VoteKind.VOTE_KIND_PRECOMMIT


def open_policy(folder: Path, from_height: int | None = None) -> SigningPolicy:
    return SigningPolicy(GENESIS, SignedMarksFile(folder / "k.signed"), 1_000, from_height)


def vote(
    policy: SigningPolicy, height: int, round: int, block: bytes, kind: VoteKind.ValueType = PREVOTE
) -> None:
    body = canonical.encode(Vote(kind=kind, height=height, round=round, block_hash=block))
    policy.check(SigningContext.VOTE.value, GENESIS, body)


def propose(policy: SigningPolicy, height: int, round: int, block: bytes) -> None:
    body = canonical.encode(Proposal(height=height, round=round, block_hash=block))
    policy.check(SigningContext.PROPOSAL.value, GENESIS, body)


def code_of(error: pytest.ExceptionInfo[RefusalError]) -> object:
    return error.value.code


@pytest.mark.parametrize("restarted", [False, True])
def test_no_vote_contradicts_an_earlier_one(tmp_path: Path, restarted: bool) -> None:
    policy = open_policy(tmp_path, 1)
    vote(policy, 5, 1, b"a" * 32)
    vote(policy, 5, 1, b"a" * 32, PRECOMMIT)
    propose(policy, 5, 2, b"a" * 32)
    if restarted:
        policy = open_policy(tmp_path)
    vote(policy, 5, 1, b"a" * 32)  # the same bytes again
    for height, round in ((5, 1), (5, 0), (4, 7)):
        for kind in (PREVOTE, PRECOMMIT):
            for block in (b"b" * 32, b""):
                with pytest.raises(RefusalError) as caught:
                    vote(policy, height, round, block, kind)
                assert code_of(caught) is DataCode.CONFLICTING_VOTE
    with pytest.raises(RefusalError) as caught:
        propose(policy, 5, 2, b"b" * 32)
    assert code_of(caught) is DataCode.CONFLICTING_VOTE
    propose(policy, 6, 0, b"b" * 32)  # of each kind apart
    vote(policy, 5, 2, b"")
    vote(policy, 6, 0, b"b" * 32, PRECOMMIT)


def test_a_vote_is_on_disk_before_it_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = open_policy(tmp_path, 1)
    vote(policy, 1, 0, b"a" * 32)

    def fail(self: SignedMarksFile, marks: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SignedMarksFile, "write", fail)
        with pytest.raises(OSError, match="full"):
            vote(policy, 2, 0, b"a" * 32)
    vote(policy, 2, 0, b"b" * 32)  # nothing was signed before
    with pytest.raises(RefusalError):
        vote(open_policy(tmp_path), 2, 0, b"a" * 32)


def test_of_transactions_a_miner_s_alone(tmp_path: Path) -> None:
    policy = open_policy(tmp_path, 1)
    actions = {field.name for field in TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields}
    assert actions > SIGNED_ACTIONS
    for name in sorted(actions):
        body = TransactionBody(chain_id="c", fee=1_000)
        getattr(body, name).SetInParent()
        if name in SIGNED_ACTIONS:
            policy.check(SigningContext.TX.value, GENESIS, canonical.encode(body))
            continue
        with pytest.raises(RefusalError) as caught:
            policy.check(SigningContext.TX.value, GENESIS, canonical.encode(body))
        assert code_of(caught) is ApplicationCode.SIGNER_REFUSED


def test_what_is_refused_at_once(tmp_path: Path) -> None:
    policy = open_policy(tmp_path, 1)
    costly = TransactionBody(chain_id="c", fee=1_001)
    costly.decline_task.SetInParent()
    bound = TransactionBody(chain_id="c", fee=1)
    bound.commit_shapley.deposit = 1_001
    body = canonical.encode(Vote(kind=PREVOTE, height=1))
    for context, genesis, raw, code in (
        (SigningContext.TX, GENESIS, canonical.encode(costly), ApplicationCode.SIGNER_REFUSED),
        (SigningContext.TX, GENESIS, canonical.encode(bound), ApplicationCode.SIGNER_REFUSED),
        (SigningContext.HELLO, GENESIS, b"", ApplicationCode.SIGNER_REFUSED),
        (SigningContext.VOTE, b"h" * 32, body, ApplicationCode.SIGNER_REFUSED),
        (SigningContext.VOTE, GENESIS, body + b"\xff", DataCode.MALFORMED),
    ):
        with pytest.raises(RefusalError) as caught:
            policy.check(context.value, genesis, raw)
        assert code_of(caught) is code


def test_what_a_key_signed_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="--from-height") as caught:
        open_policy(tmp_path)
    assert code_of(caught) is DataCode.VOTES_MISSING
    policy = open_policy(tmp_path, 10)
    with pytest.raises(RefusalError):
        vote(policy, 9, 3, b"")
    vote(policy, 10, 0, b"")
    with pytest.raises(RefusalError) as caught:
        open_policy(tmp_path, 9)
    assert code_of(caught) is ApplicationCode.BAD_ARGUMENT
    with pytest.raises(RefusalError):  # 10 is no way to sign again at height 10
        vote(open_policy(tmp_path, 10), 10, 0, b"b" * 32)
    vote(open_policy(tmp_path, 11), 11, 0, b"")
    (tmp_path / "k.signed").write_text("[1]")
    with pytest.raises(RefusalError, match="damaged") as caught:
        open_policy(tmp_path)
    assert code_of(caught) is ApplicationCode.BAD_STATE


def test_requests_of_readers_are_signed_as_such_alone(tmp_path: Path) -> None:
    policy = open_policy(tmp_path, 1)
    statement = ReaderStatement(server=b"s" * 32, campaign_id=b"c" * 32, expires_ms=1)
    body = canonical.encode(statement)
    reader = SigningContext.READER
    assert policy.check(reader.value, GENESIS, body) is reader
    with pytest.raises(RefusalError) as caught:
        policy.check(reader.value, GENESIS, b"\xff")
    assert code_of(caught) is DataCode.MALFORMED
    with pytest.raises(RefusalError) as caught:
        policy.check(reader.value, b"h" * 32, body)
    assert code_of(caught) is ApplicationCode.SIGNER_REFUSED
