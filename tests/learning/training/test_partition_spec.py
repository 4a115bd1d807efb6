from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.partition_spec import (
    LINEAR,
    Division,
    NoiseRange,
    Partition,
    parse_partition,
)


def noises(high: int) -> st.SearchStrategy[NoiseRange]:
    steps = st.integers(0, high * 1000).map(lambda step: step / 1000)
    return st.builds(NoiseRange, steps, steps)


DIVISIONS = st.one_of(
    st.tuples(st.sampled_from([Division.LINEAR, Division.IID]), st.just(0.0)),
    st.tuples(st.just(Division.QUANTITY), st.sampled_from([0.0, 0.25, 5.0])),
    st.tuples(st.just(Division.DIRICHLET), st.sampled_from([0.001, 0.3, 1e6])),
    st.tuples(st.sampled_from([Division.LABELS, Division.TYPES]), st.integers(1, 1000)),
)
PARTITIONS = st.builds(
    lambda division, *changes: Partition(division[0], division[1], *changes),
    DIVISIONS,
    st.integers(1, 1000),
    st.integers(0, 1000),
    noises(1),
    noises(100),
)


@given(PARTITIONS)
def test_what_is_written_is_read(partition: Partition) -> None:
    assert parse_partition(str(partition)) == partition


def test_examples_of_specifications() -> None:
    assert parse_partition("linear") == LINEAR
    assert parse_partition("copies:3") == Partition(copies=3)
    assert parse_partition("label-noise:0..0.4+dirichlet:0.3") == Partition(
        Division.DIRICHLET, 0.3, label_noise=NoiseRange(0.0, 0.4)
    )
    assert parse_partition("types:10+size:500") == Partition(Division.TYPES, 10, max_examples=500)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "unknown part ''"),
        ("random", "unknown part 'random'"),
        ("iid+", "unknown part ''"),
        ("iid:2", "gives iid the value '2'"),
        ("dirichlet", "gives dirichlet no value"),
        ("dirichlet:0", "from 0.001 to 1e+06"),
        ("dirichlet:-1", "gives dirichlet the value '-1'"),
        ("dirichlet:nan", "gives dirichlet the value 'nan'"),
        ("labels:1.5", "must be a whole number"),
        ("labels:0", "must be a whole number from 1"),
        ("quantity:6", "from 0 to 5"),
        ("copies:0", "must be a whole number from 1"),
        ("label-noise:1.1", "from 0 to 1"),
        ("label-noise:0..", "gives label-noise the value ''"),
        ("feature-noise:..1", "gives feature-noise the value ''"),
        ("iid+labels:2", "more than one division"),
        ("copies:2+copies:2", "more than one copies"),
    ],
)
def test_bad_specifications_are_refused(text: str, fault: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_partition(text)
    assert caught.value.code is LearningCode.BAD_PARTITION
    assert fault in caught.value.message


def test_noise_grows_from_the_first_client_to_the_last() -> None:
    noise = NoiseRange(0.1, 0.5)
    assert [noise.at(index, 5) for index in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert noise.at(0, 1) == 0.1
