"""The fuzzer of decoders: valid samples, cases drawn by seed, and faults that are found."""

from __future__ import annotations

import random

import pytest

from scripts.studies.fuzzing.campaign import run_target
from scripts.studies.fuzzing.mutations import MAX_CASE_BYTES, mutate
from scripts.studies.fuzzing.targets import Target, list_targets

TARGETS = list_targets()
TRIED = "signed-action"
"""Its samples are refused by the ledger, since they name campaigns and tasks that do not exist."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_each_decoder_takes_its_samples_and_refuses_changed_ones(target: Target) -> None:
    for sample in target.samples:
        if target.name != TRIED:
            target.decode(sample)
    found = run_target(target, 30, 60, seed=2)
    assert found.cases == 30
    assert found.faults == []


def test_cases_follow_from_the_seed() -> None:
    cases = [mutate(random.Random(7), [b"sample", b"other" * 20_000]) for _ in range(2)]
    assert cases[0] == cases[1]
    rng = random.Random(8)
    sizes = [len(mutate(rng, [b"long" * 20_000])) for _ in range(200)]
    assert max(sizes) == MAX_CASE_BYTES


def test_a_fault_is_found_and_shown() -> None:
    def decode(raw: bytes) -> bytes:
        if len(raw) > 3:
            raise KeyError("a bug")
        return raw

    found = run_target(Target("faulty", decode, [b"abc"]), 10_000, 60, seed=1)
    assert len(found.faults) == 5
    assert found.cases < 10_000
    assert found.faults[0].startswith("KeyError: 'a bug' for ")
