"""What a validator's key signs, and what it never signs twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.signed_record import SignedRecordFile
from fedcoin.application.signing.signing_policy import SIGNED_ACTIONS, SigningLimits, SigningPolicy
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ReaderStatement
from fedcoin.v1.transaction_pb2 import TransactionBody
from fedcoin.v1.vote_pb2 import Proposal, Vote, VoteKind
from tests.conftest import ReportAttack

GENESIS = b"g" * 32
PREVOTE, PRECOMMIT = VoteKind.VOTE_KIND_PREVOTE, VoteKind.VOTE_KIND_PRECOMMIT


LIMITS = SigningLimits(max_fee=1_000, max_per_day=10_000, block_ms=50)
NOW = 1_700_000_000_000
HOUR = 3_600_000


class Clock:
    """Gives the time that a test sets, in Unix ms."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def open_policy(
    folder: Path, from_height: int | None = None, clock: Callable[[], int] = lambda: NOW
) -> SigningPolicy:
    return SigningPolicy(GENESIS, SignedRecordFile(folder / "k.signed"), LIMITS, from_height, clock)


def vote(
    policy: SigningPolicy, height: int, round: int, block: bytes, kind: VoteKind.ValueType = PREVOTE
) -> None:
    body = canonical.encode(Vote(kind=kind, height=height, round=round, block_hash=block))
    policy.check(SigningContext.VOTE.value, GENESIS, body)


def propose(policy: SigningPolicy, height: int, round: int, block: bytes) -> None:
    body = canonical.encode(Proposal(height=height, round=round, block_hash=block))
    policy.check(SigningContext.PROPOSAL.value, GENESIS, body)


def spend(policy: SigningPolicy, action: str, fee: int, deposit: int = 0) -> None:
    body = TransactionBody(chain_id="c", fee=fee)
    getattr(body, action).SetInParent()
    if deposit:
        body.commit_shapley.deposit = deposit
    policy.check(SigningContext.TX.value, GENESIS, canonical.encode(body))


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

    def fail(self: SignedRecordFile, marks: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(SignedRecordFile, "write", fail)
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
        body = TransactionBody(chain_id="c", fee=100)
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


@pytest.mark.attack
def test_no_vote_silences_the_key_for_ever(tmp_path: Path, report_attack: ReportAttack) -> None:
    clock = Clock()
    policy = open_policy(tmp_path, 1, clock)
    vote(policy, 5, 0, b"a" * 32)
    for height in (1 << 62, 1_000_000, 1_002):
        for attempt in (vote, propose):
            with pytest.raises(RefusalError, match="--from-height") as caught:
                attempt(policy, height, 0, b"b" * 32)
            assert code_of(caught) is ApplicationCode.SIGNER_REFUSED
    vote(policy, 1_001, 0, b"b" * 32)
    for second in range(1, 61):  # an attack of a minute
        clock.now += 1_000
        with pytest.raises(RefusalError):
            vote(policy, 1_001 + 20 * second + 1, 0, b"b" * 32)
        vote(policy, 1_001 + 20 * second, 0, b"b" * 32)
    policy = open_policy(tmp_path, clock=clock)  # a restart gives nothing back
    with pytest.raises(RefusalError):
        vote(policy, 1_001 + 20 * 60 + 1, 0, b"b" * 32)
    # The chain goes on by a block a second, and the validator with it.
    clock.now += 2_300 * 1_000
    vote(policy, 2_300, 0, b"c" * 32)
    report_attack(
        "with a validator's node in hand, but its key in a signer, have a vote signed for height"
        " 2^62, so that the key signs nothing lower",
        "the validator is silent for ever, unless its bond is put at risk",
        "SIGNER_REFUSED: 1,000 heights ahead, and 20 more for each second of the attack",
    )


def test_the_pace_is_that_of_the_clock(tmp_path: Path) -> None:
    clock = Clock()
    policy = open_policy(tmp_path, 1, clock)
    for height in range(1, 3_000, 30):  # as fast as blocks can be
        vote(policy, height, 0, b"a" * 32)
        clock.now += 30 * 50
    clock.now += 1_000 * HOUR  # halted, or switched off; what is not used then expires
    vote(policy, 3_000, 0, b"a" * 32)
    with pytest.raises(RefusalError, match="at most 4000"):
        vote(policy, 4_001, 0, b"a" * 32)
    clock.now += HOUR
    policy = open_policy(tmp_path, clock=clock)
    vote(policy, 4_000 + HOUR // 50, 0, b"a" * 32)  # all of it after a time away
    clock.now -= 100 * HOUR  # a clock that is set back
    with pytest.raises(RefusalError):
        vote(policy, 4_001 + HOUR // 50, 0, b"a" * 32)
    vote(policy, 4_000 + HOUR // 50, 1, b"a" * 32)
    clock.now += 50
    vote(policy, 4_001 + HOUR // 50, 0, b"a" * 32)
    far = 1 << 40  # the operator says that the chain is there
    policy = open_policy(tmp_path, far, clock)
    vote(policy, far, 0, b"a" * 32)


@pytest.mark.attack
def test_a_day_has_a_limit(tmp_path: Path, report_attack: ReportAttack) -> None:
    clock = Clock()
    policy = open_policy(tmp_path, 1, clock)
    for _ in range(5):
        spend(policy, "commit_shapley", 500, 500)
    with pytest.raises(RefusalError, match="half of --max-per-day") as caught:
        spend(policy, "commit_shapley", 500, 500)
    assert code_of(caught) is ApplicationCode.SIGNER_REFUSED
    policy = open_policy(tmp_path, clock=clock)  # a restart forgets nothing
    for action in ("decline_task", "report_equivocation"):
        with pytest.raises(RefusalError, match="24 hours"):
            spend(policy, action, 1)
    for _ in range(5):  # deposits are not lost for want of a reveal
        spend(policy, "reveal_shapley", 1_000)
    with pytest.raises(RefusalError, match="24 hours"):
        spend(policy, "reveal_shapley", 1)
    policy = open_policy(tmp_path, 1_000, clock)  # nor does a new first height
    with pytest.raises(RefusalError, match="24 hours"):
        spend(policy, "commit_shapley", 1)
    clock.now += 24 * HOUR
    with pytest.raises(RefusalError, match="24 hours"):
        spend(policy, "commit_shapley", 1)
    clock.now += HOUR
    spend(policy, "commit_shapley", 500, 500)
    report_attack(
        "with a validator's node in hand, but its key in a signer, burn the coins beside the bond"
        " as fees and deposits",
        "all of them, up to `--max-fee` with each transaction",
        "`--max-per-day`, half of it for reveals; then SIGNER_REFUSED",
    )


def test_the_record_is_named_after_the_key_and_the_network(tmp_path: Path) -> None:
    record = SignedRecordFile.beside_key(tmp_path, "spare", b"\x2a" * 32)
    assert record.path == tmp_path / "spare-2a2a2a2a2a2a2a2a.signed"
