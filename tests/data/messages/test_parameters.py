from __future__ import annotations

from dataclasses import asdict

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.parameters import PARAMETER_RANGES, Parameters, parse_parameters
from fedcoin.v1 import genesis_pb2


def refused(**given: int) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        parse_parameters(genesis_pb2.Parameters(**given))
    assert caught.value.code is DataCode.BAD_GENESIS
    return caught.value


def test_zero_means_the_default() -> None:
    assert parse_parameters(genesis_pb2.Parameters()) == Parameters()
    assert parse_parameters(genesis_pb2.Parameters(base_fee=5)).base_fee == 5


def test_names_are_those_of_the_wire() -> None:
    names = {field.name for field in genesis_pb2.Parameters.DESCRIPTOR.fields}
    assert set(asdict(Parameters())) == names == set(PARAMETER_RANGES)


def test_the_defaults_are_in_their_ranges() -> None:
    for name, value in asdict(Parameters()).items():
        least, most = PARAMETER_RANGES[name]
        assert least <= value <= most, name


@pytest.mark.parametrize("name", sorted(PARAMETER_RANGES))
def test_each_range_is_checked(name: str) -> None:
    refusal = refused(**{name: PARAMETER_RANGES[name][1] + 1})
    assert refusal.field == f"parameters.{name}"
    assert refusal.limit


def test_parameters_that_contradict_each_other() -> None:
    refusal = refused(max_block_bytes=100_000, max_transaction_bytes=100_000)
    assert refusal.field == "parameters.max_transaction_bytes"
    refusal = refused(min_difficulty_nano=30_000_000)
    assert refusal.field == "parameters.initial_difficulty_nano"
    refusal = refused(max_difficulty_nano=10_000_000)
    assert refusal.field == "parameters.initial_difficulty_nano"
