"""An invented result of a devnet, with addresses and hashes of their real length."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedcoin.application.devnet.results import (
    ClientResult,
    DevnetResult,
    MinerResult,
    NodeResult,
    RoundResult,
)
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError

VALUES = {"honest": 120_000_000, "mislabelled": -20_000_000, "free rider": 0}

MakeResult = Callable[..., DevnetResult]


def refused(code: object) -> pytest.RaisesExc[RefusalError]:
    """Expect a refusal with a code."""
    return pytest.raises(RefusalError, check=lambda refusal: refusal.code is code)


def address(number: int) -> str:
    return format_address(bytes([number]) * 20)


def make_round(number: int) -> RoundResult:
    clients = tuple(
        ClientResult(address(i), role, 100 * (i + 1), value // number, max(0, value) * 5)
        for i, (role, value) in enumerate(VALUES.items())
    )
    miners = tuple(
        MinerResult(address(10 + i), True, i < 2, i < 1, 200 if i == 0 else 0) for i in (0, 1, 2)
    )
    return RoundResult(
        round=number,
        task_id="ab" * 32,
        measure="accuracy",
        utility=0.5 + number / 10,
        winner=address(10),
        difficulty_nano=20_000_000,
        schedule="exact",
        evaluations=64,
        settle_seconds=1.25,
        training_price=700_000_000,
        aggregation_price=100_000_000,
        mining_price=200,
        server=address(9),
        clients=clients,
        miners=miners,
    )


def _make_result(rounds: int = 3) -> DevnetResult:
    return DevnetResult(
        chain_id="fedcoin-devnet",
        supply_before=10**15,
        supply_after=10**15,
        rounds=tuple(make_round(number) for number in range(1, rounds + 1)),
        nodes=tuple(
            NodeResult(address(10 + i), 17, "cd" * 32, 98_000_000, 1.1, 10**11) for i in (0, 1, 2)
        ),
        elapsed_seconds=41.25,
    )


@pytest.fixture
def make_result() -> MakeResult:
    """Makes a result of some rounds, by default three."""
    return _make_result
