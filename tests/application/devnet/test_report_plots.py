from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fedcoin.application.devnet.report_plots import (
    name_clients,
    plot_payouts,
    plot_shares,
    plot_values,
    split_price,
)
from tests.application.devnet.conftest import MakeResult, make_round


def test_clients_have_the_names_that_they_claim(make_result: MakeResult) -> None:
    result = make_result(1)
    first, *others = result.rounds[0].clients
    rounds = (replace(result.rounds[0], clients=(replace(first, name="clinic-7"), *others)),)
    named = replace(result, rounds=rounds)
    assert list(name_clients(named).values()) == ["clinic-7", "client-2", "client-3"]
    assert [label.name for label in plot_values(named).labels] == [
        "clinic-7",
        "client-2",
        "client-3",
    ]


def test_negative_values_hang_below_zero(make_result: MakeResult) -> None:
    plot = plot_values(make_result())
    for bar in plot.bars:
        if bar.kind == "mislabelled":
            assert bar.y == pytest.approx(plot.zero)
        else:
            assert bar.y + bar.height == pytest.approx(plot.zero)


def test_rounds_are_stacked(make_result: MakeResult) -> None:
    bars = [bar for bar in plot_payouts(make_result()).bars if bar.kind == "honest"]
    assert len(bars) == 3
    for below, above in itertools.pairwise(bars):
        assert above.y + above.height == pytest.approx(below.y)
        assert above.shade > below.shade


def test_a_price_is_split_completely(make_result: MakeResult) -> None:
    assert split_price(make_round(1)) == (600_000_000, 100_000_000, 200, 100_000_000)
    assert next(label.about for label in plot_shares(make_result()).labels) == "18.00 FDC"
