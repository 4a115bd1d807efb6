from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.application.rendering.svg_plots import (
    HALF,
    Part,
    choose_ticks,
    connect_points,
    plot_stacks,
)


@given(st.floats(-1e6, 0), st.floats(0, 1e6))
def test_ticks_enclose_the_range(low: float, high: float) -> None:
    ticks = choose_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    slack = 1e-6 * (high - low) + 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack


@given(st.integers(1, 200))
def test_labels_of_many_slots_are_few(count: int) -> None:
    scale, _ = HALF.make_scale([1.0], str)
    points, labels = connect_points(HALF, scale, [(str(i), i / count, "") for i in range(count)])
    assert len(points) == count
    assert 1 <= len(labels) <= 16
    assert all(HALF.left < point.x < HALF.right for point in points)


def test_a_stack_is_as_high_as_its_sum() -> None:
    parts = [Part("gain", 1.0, "first", 10**8), Part("gain", 1.0, "none", 0)]
    plot = plot_stacks("", "", HALF, [("a", [*parts, Part("loss", 1.0, "last", 2 * 10**8)])])
    first, last = plot.bars
    assert last.y + last.height == first.y
    assert abs(last.height - 2 * first.height) < 1e-9
    assert first.title == "first: 1 FDC"
