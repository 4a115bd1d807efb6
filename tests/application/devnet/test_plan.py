from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from fedcoin.application.devnet.plan import (
    FREE_RIDER,
    HONEST,
    MISLABELLED,
    DevnetOptions,
    assign_roles,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.application.devnet.conftest import refused

OPTIONS = DevnetOptions(
    miners=4, clients=5, rounds=3, dataset="digits", budget=300 * SAP_PER_FDC, seed=1
)


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5, 12, 128])
def test_roles(clients: int) -> None:
    roles = assign_roles(clients)
    assert len(roles) == clients
    assert roles[-1] == HONEST
    assert roles.count(MISLABELLED) == (clients >= 2)
    assert roles.count(FREE_RIDER) == (clients >= 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("miners", 0),
        ("miners", 1000),
        ("clients", 0),
        ("clients", 1000),
        ("rounds", 0),
        ("rounds", 1_001),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        replace(OPTIONS, **cast("Any", {name: value})).check()
    assert f"--{name} is {value}" in caught.value.message


@pytest.mark.parametrize(
    ("budget", "shown"),
    [(2, "0.00000002 FDC"), (10**16 + 1, "100000000.00000001 FDC")],
)
def test_a_budget_out_of_range_is_named_in_fdc(budget: int, shown: str) -> None:
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        replace(OPTIONS, budget=budget).check()
    expected = f"--budget is {shown}, but it must be from 0.00000003 FDC to 100000000 FDC"
    assert caught.value.message == expected


def test_dishonest_miners_are_the_last_ones() -> None:
    options = replace(OPTIONS, adversaries=(("copier", 1), ("censor", 2)))
    options.check()
    assert options.miner_kinds == ("", "copier", "censor", "censor")


def test_one_miner_is_honest() -> None:
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        replace(OPTIONS, miners=1, adversaries=(("copier", 1),)).check()
    assert "1 dishonest miner of 1 miner, but" in caught.value.message
