from __future__ import annotations

import numpy as np
import pytest

from fedcoin.learning.workers.coalition_memo import CoalitionMemo, pack_coalitions
from tests.support.small_models import all_coalitions


def key(number: int) -> bytes:
    return number.to_bytes(2, "big")


def test_it_knows_what_was_added_to_a_job() -> None:
    memo = CoalitionMemo(10)
    memo.add(b"one", {key(1): 10, key(2): 20})
    memo.add(b"two", {key(1): 30})
    memo.add(b"one", {key(2): 20, key(3): 40})
    assert dict(memo.counts(b"one")) == {key(1): 10, key(2): 20, key(3): 40}
    assert dict(memo.counts(b"two")) == {key(1): 30}
    assert dict(memo.counts(b"three")) == {}
    assert len(memo) == 4
    memo.forget(b"one")
    memo.forget(b"one")
    assert dict(memo.counts(b"one")) == {}
    assert len(memo) == 1


def test_it_is_bounded_over_all_jobs() -> None:
    memo = CoalitionMemo(100)
    generator = np.random.default_rng(0)
    for _ in range(300):
        numbers = generator.integers(0, 1 << 16, generator.integers(1, 40))
        memo.add(b"job %d" % generator.integers(20), {key(int(number)): 1 for number in numbers})
        assert len(memo) <= 100
    assert len(memo) == sum(len(memo.counts(b"job %d" % number)) for number in range(20)) == 100


def test_the_job_that_was_used_longest_ago_loses_its_oldest_counts() -> None:
    memo = CoalitionMemo(4)
    memo.add(b"one", {key(1): 1, key(2): 2})
    memo.add(b"two", {key(3): 3, key(4): 4})
    memo.counts(b"one")
    memo.add(b"one", {key(5): 5})
    assert dict(memo.counts(b"two")) == {key(4): 4}
    memo.add(b"three", {key(number): 0 for number in range(7)})
    assert list(memo.counts(b"three")) == [key(number) for number in range(3, 7)]
    assert not memo.counts(b"one")
    assert not memo.counts(b"two")


@pytest.mark.parametrize("clients", [1, 8, 9, 11])
def test_no_two_coalitions_share_a_key(clients: int) -> None:
    assert len(set(pack_coalitions(all_coalitions(clients)))) == 1 << clients
