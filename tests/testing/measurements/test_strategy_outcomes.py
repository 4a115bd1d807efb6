"""A proposer that grinds on the ledger, and the known faults of the paper's race."""

from __future__ import annotations

from fedcoin.testing.measurements.strategy_outcomes import measure_in_paper_race, measure_on_ledger
from fedcoin.v1 import task_pb2

BLOCKS = 20


def test_a_grinding_proposer_gains_nothing() -> None:
    outcome = measure_on_ledger("challenge-grinder", 20, schedule=task_pb2.SCHEDULE_EXACT)
    assert outcome.blocks == 20
    assert outcome.grinding_blocks > 10 * outcome.grinding_turns > 0
    assert outcome.max_challenges == 1
    assert outcome.wins < 12
    assert outcome.lost == 0


def test_in_the_paper_a_miner_that_publishes_the_mean_wins_every_block() -> None:
    outcome = measure_in_paper_race("mean-publisher", BLOCKS)
    assert (outcome.wins, outcome.blocks, outcome.evaluations) == (BLOCKS, BLOCKS, 0)


def test_in_the_paper_a_miner_that_claims_a_huge_count_shifts_the_training_price() -> None:
    outcome = measure_in_paper_race("inflated-count", BLOCKS)
    assert outcome.wins == BLOCKS
    # Of 70 FDC for each block, less than half is due to its favoured client.
    assert outcome.shifted > 35 * BLOCKS


def test_in_the_paper_a_copier_wins_its_share_without_computing() -> None:
    outcome = measure_in_paper_race("copier", 60)
    assert outcome.evaluations == 0
    assert outcome.wins > 2


def test_in_the_paper_an_invented_vector_stops_the_race_or_wins_with_the_default_d() -> None:
    assert measure_in_paper_race("invented-vector", 1).blocks == 0
    loose = measure_in_paper_race("invented-vector", BLOCKS, difficulty=1.5)
    assert loose.blocks == BLOCKS
    assert loose.wins > 0
