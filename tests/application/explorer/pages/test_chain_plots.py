from __future__ import annotations

import itertools

from fedcoin.application.explorer.pages.chain_plots import (
    MAX_NARROW_BARS,
    MAX_ROUNDS,
    plot_earnings,
    plot_spending,
    plot_utilities,
    plot_values,
)
from fedcoin.application.explorer.reading.payment_index import IndexedPayment
from fedcoin.application.explorer.reading.view_models import ClientRow, RoundRow
from fedcoin.application.rendering.svg_plots import HALF, WIDE
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import RoundPrices
from fedcoin.v1.views_pb2 import TaskClientView, TaskView

FDC = 10**8


def client(number: int, nano: int, spread: int = 0) -> ClientRow:
    view = TaskClientView(address=f"fc1{number}", shapley_nano=nano)
    return ClientRow(number, view, (nano - spread, nano + spread), 0.0, number)


def settled(number: int, utility: float) -> RoundRow:
    task = TaskView(
        round=number,
        winner="fc1w",
        utility=task_pb2.UTILITY_ACCURACY,
        prices=RoundPrices(aggregation=FDC),
    )
    return RoundRow(task, 7 * FDC, 2 * FDC, utility)


def payment(round: int, kind: int, amount: int = FDC) -> IndexedPayment:
    return IndexedPayment(round, 0, kind, amount, f"{round:064x}", round, 0)  # type: ignore[arg-type]


def test_values_have_bars_and_intervals_around_their_ends() -> None:
    plot = plot_values([client(1, 50_000_000, 10_000_000), client(2, -20_000_000)])
    assert plot is not None
    gain, loss = plot.bars
    assert (gain.kind, loss.kind) == ("gain", "loss")
    assert abs(gain.y + gain.height - plot.zero) < 1e-9
    assert abs(loss.y - plot.zero) < 1e-9
    (whisker,) = plot.whiskers
    assert whisker.top < gain.y < whisker.bottom


def test_values_that_nobody_knows_have_no_plot() -> None:
    row = ClientRow(1, TaskClientView(address="fc1a"), None, 0.0, 1)
    assert plot_values([row]) is None
    assert plot_values([]) is None


def test_a_plot_of_many_clients_is_wide_and_has_few_labels() -> None:
    plot = plot_values([client(number, number) for number in range(1, 101)])
    assert plot is not None
    assert (len(plot.bars), plot.frame) == (100, WIDE)
    assert len(plot.labels) <= 25
    assert all(a.x + a.width <= b.x for a, b in itertools.pairwise(plot.bars))
    few = plot_values([client(number, number) for number in range(1, MAX_NARROW_BARS + 1)])
    assert few is not None
    assert few.frame == HALF


def test_rounds_run_from_the_left() -> None:
    rounds = [settled(2, 0.8), settled(1, 0.5)]
    utilities, spending = plot_utilities(rounds), plot_spending(rounds)
    assert utilities is not None
    assert spending is not None
    assert [point.label for point in utilities.points] == ["50.0 %", "80.0 %"]
    assert utilities.points[0].y > utilities.points[1].y
    assert [label.name for label in spending.labels] == ["round 1", "round 2"]
    assert [bar.title for bar in spending.bars[:3]] == [
        "round 1, clients: 7 FDC", "round 1, server: 1 FDC", "round 1, miners: 2 FDC",
    ]  # fmt: skip
    failed = RoundRow(TaskView(round=1), 0, 0, None)
    assert plot_utilities([failed]) is None
    assert plot_spending([failed]) is None


def test_earnings_are_what_was_earned() -> None:
    earned = plot_earnings([
        payment(3, block_pb2.PAYMENT_KIND_MINING),
        payment(3, block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED),
        payment(1, block_pb2.PAYMENT_KIND_TRAINING, 2 * FDC),
        payment(0, block_pb2.PAYMENT_KIND_UNBONDED),
    ])  # fmt: skip
    assert earned is not None
    assert [bar.title for bar in earned.bars] == [
        "round 1, training: 2 FDC", "round 3, mining: 1 FDC",
    ]  # fmt: skip
    assert plot_earnings([payment(1, block_pb2.PAYMENT_KIND_REFUND)]) is None
    many = [payment(round, block_pb2.PAYMENT_KIND_TRAINING) for round in range(200, 0, -1)]
    latest = plot_earnings(many)
    assert latest is not None
    assert len(latest.bars) == MAX_ROUNDS
    assert latest.bars[-1].title.startswith("round 200,")
