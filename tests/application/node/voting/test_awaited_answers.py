"""A height waits for the answers of all miners, and for nothing that a block could use now."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fedcoin.application.node.voting.awaited_answers import MAX_ANSWERS, AnswerWait
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.v1.transaction_pb2 import (
    CommitShapley,
    DeclineTask,
    RevealShapley,
    TransactionBody,
)
from tests.support.keys import ALICE
from tests.support.transfers import sign_transfer

TASK, OTHER = b"t" * 32, b"o" * 32
MAX_MS = 2_000


def answers(count: int, task_id: bytes = TASK) -> list[Transaction]:
    bodies = [
        TransactionBody(commit_shapley=CommitShapley(task_id=task_id, commitment=b"c" * 32)),
        TransactionBody(reveal_shapley=RevealShapley(task_id=task_id, salt=b"s" * 32)),
        TransactionBody(decline_task=DeclineTask(task_id=task_id)),
    ]
    return [sign_transaction(bodies[number % 3], ALICE, bytes(32)) for number in range(count)]


class Site:
    """A node at one height, whose ledger waits for four miners of one task and two of another."""

    def __init__(self) -> None:
        self.wait = AnswerWait(MAX_MS)

    def left_ms(
        self, now_ms: int, ready: Sequence[Transaction], *, is_proposer: bool = True
    ) -> int:
        waiting = {TASK: 4, OTHER: 2}
        return self.wait.compute_left_ms(now_ms, ready, waiting, is_proposer=is_proposer)


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_wait_ends_with_the_last_answer_at_the_proposer_alone(site: Site) -> None:
    four = answers(4)
    assert [site.left_ms(1_000 + 10 * count, four[:count]) for count in (1, 2, 3, 4)] == [
        MAX_MS,
        MAX_MS - 10,
        MAX_MS - 20,
        0,
    ]
    assert site.left_ms(1_040, four, is_proposer=False) == MAX_MS - 30


def test_one_task_with_all_answers_is_enough(site: Site) -> None:
    assert site.left_ms(0, answers(1) + answers(1, OTHER)) == MAX_MS
    assert site.left_ms(1, answers(1) + answers(2, OTHER)) == 0


@pytest.mark.parametrize("is_proposer", [True, False])
def test_an_answer_that_does_not_come_is_not_waited_for_longer(
    site: Site, is_proposer: bool
) -> None:
    times = (1_000, 2_999, 3_000)
    left = [site.left_ms(now, answers(3), is_proposer=is_proposer) for now in times]
    assert left == [MAX_MS, 1, 0]


def test_nothing_else_waits_for_answers(site: Site) -> None:
    assert site.left_ms(0, []) == 0
    assert site.left_ms(0, [*answers(1), sign_transfer(0)]) == 0
    assert site.left_ms(0, [sign_transfer(0), *answers(1)]) == 0


def test_an_answer_to_a_task_that_waits_for_none_begins_a_block(site: Site) -> None:
    assert site.left_ms(0, answers(1, b"u" * 32)) == 0


def test_a_block_full_of_answers_does_not_wait(site: Site) -> None:
    ready, waiting = answers(MAX_ANSWERS), {TASK: 1_000}
    assert site.wait.compute_left_ms(0, ready[:-1], waiting, is_proposer=True) == MAX_MS
    assert site.wait.compute_left_ms(0, ready, waiting, is_proposer=True) == 0


def test_each_height_waits_anew_and_a_clock_that_was_set_back_ends_the_wait(site: Site) -> None:
    assert site.left_ms(9_000, answers(1)) == MAX_MS
    assert site.left_ms(8_999, answers(1)) == 0
    site.wait.end_height()
    assert site.left_ms(8_999, answers(1)) == MAX_MS
