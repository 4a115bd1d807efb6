from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.database import Database
from fedcoin.data.storage.vote_log import OwnVote, VoteLog

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def log(tmp_path: Path) -> Iterator[VoteLog]:
    with Database.open(tmp_path / "votes.sqlite", {}) as database:
        yield VoteLog(database)


def vote(kind: str, height: int, round: int, block_hash: bytes) -> OwnVote:
    return OwnVote(kind, height, round, block_hash, b"envelope " + block_hash)


def refused(log: VoteLog, *arguments: object) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        log.record(vote(*arguments))  # type: ignore[arg-type]
    assert caught.value.code is DataCode.CONFLICTING_VOTE
    return caught.value


def test_votes_are_kept_in_order(log: VoteLog) -> None:
    votes = [vote("precommit", 5, 0, A), vote("prevote", 5, 0, A), vote("prevote", 5, 1, b"")]
    for one in reversed(votes):
        log.record(one)
    log.record(vote("prevote", 6, 0, A))
    assert log.list_at(5) == votes
    assert log.list_at(4) == []


def test_repeating_is_allowed_and_contradicting_is_not(log: VoteLog) -> None:
    log.record(vote("prevote", 5, 0, A))
    log.record(vote("prevote", 5, 0, A))
    assert "cannot sign another one for" in refused(log, "prevote", 5, 0, B).message
    assert "nil" in refused(log, "prevote", 5, 0, b"").message
    log.record(vote("precommit", 5, 0, B))
    log.record(vote("proposal", 5, 0, B))
    log.record(vote("prevote", 5, 1, B))
    assert len(log.list_at(5)) == 4


def test_a_prevote_that_says_something_else_of_its_block_is_refused(log: VoteLog) -> None:
    """The envelope tells whether the block was audited; one validator may not say both."""
    log.record(OwnVote("prevote", 5, 0, A, b"audited"))
    log.record(OwnVote("prevote", 5, 0, A, b"audited"))
    with pytest.raises(RefusalError) as caught:
        log.record(OwnVote("prevote", 5, 0, A, b"not audited"))
    assert caught.value.code is DataCode.CONFLICTING_VOTE
    # A lock may be stored again, with more of its prevotes.
    log.record(OwnVote("lock", 5, 0, A, b"three prevotes"))
    log.record(OwnVote("lock", 5, 0, A, b"four prevotes"))


def test_nil_binds_too(log: VoteLog) -> None:
    log.record(vote("precommit", 5, 0, b""))
    refused(log, "precommit", 5, 0, A)


def test_pruned_heights_are_never_voted_on_again(log: VoteLog) -> None:
    for height in range(1, 6):
        log.record(vote("prevote", height, 0, A))
    log.prune(4)
    assert log.list_at(3) == []
    assert len(log.list_at(4)) == 1
    assert "from height 4 on" in refused(log, "prevote", 3, 0, A).message
    log.prune(2)  # It never decreases.
    refused(log, "prevote", 3, 1, A)
    log.record(vote("prevote", 4, 1, A))


def test_one_of_two_threads_loses(log: VoteLog) -> None:
    outcomes: list[str] = []

    def say(block_hash: bytes) -> None:
        try:
            log.record(vote("prevote", 1, 0, block_hash))
            outcomes.append("kept")
        except RefusalError:
            outcomes.append("refused")

    threads = [threading.Thread(target=say, args=(bytes([i]) * 32,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["kept"] + ["refused"] * 7
    assert len(log.list_at(1)) == 1


@settings(max_examples=20, deadline=None)
@given(
    votes=st.lists(
        st.tuples(
            st.sampled_from(["prevote", "precommit", "proposal"]),
            st.integers(1, 2),
            st.integers(0, 1),
            st.sampled_from([A, B, b""]),
        ),
        max_size=25,
    )
)
def test_no_history_holds_a_contradiction(
    votes: list[tuple[str, int, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("votes") / "votes.sqlite"
    said: dict[tuple[str, int, int], bytes] = {}
    with Database.open(path, {}) as database:
        log = VoteLog(database)
        for kind, height, round, block_hash in votes:
            expected = said.setdefault((kind, height, round), block_hash)
            if expected == block_hash:
                log.record(vote(kind, height, round, block_hash))
            else:
                refused(log, kind, height, round, block_hash)
    with Database.open(path, {}) as database:
        kept = {
            (v.kind, v.height, v.round): v.block_hash
            for h in (1, 2)
            for v in VoteLog(database).list_at(h)
        }
    assert kept == said
