"""Each check fails on answers that break its rule, and on no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedcoin.testing.networks.network_checks import MIB, KnownFacts, check_answers
from fedcoin.testing.networks.node_answers import NodeAnswers, TaskAnswer

FINAL = {"aa": 1, "bb": 2}
FACTS = KnownFacts(
    supply=1_000,
    final=FINAL,
    num_tried=3,
    bonds={"f0": 500},
    max_memory_bytes=200 * MIB,
    tasks=("t1",),
)


def honest(node: str) -> NodeAnswers:
    return NodeAnswers(
        node=node,
        height=2,
        app_hash="e0" * 32,
        supply=1_000,
        counted_supply=1_000,
        rss_bytes=90 * MIB,
        blocks={1: "b1" * 32, 2: "b2" * 32},
        transfers=dict(FINAL),
        collected=14,
        bonds={"f0": 500, "ff": 7},
        tasks={"t1": TaskAnswer("TASK_PHASE_SETTLED", (b"pay",))},
    )


def test_answers_that_agree_pass() -> None:
    assert check_answers([honest("a"), honest("b"), honest("c")], FACTS) == []


def test_a_transfer_that_no_node_called_final_may_be_paid() -> None:
    paid = [replace(honest(name), collected=21) for name in "ab"]
    assert check_answers(paid, FACTS) == []


Forge = Callable[[NodeAnswers], NodeAnswers]

FORGERIES: list[tuple[Forge, str]] = [
    (lambda one: replace(one, app_hash="00" * 32), "b has app hash 0000"),
    (lambda one: replace(one, height=1), "b has app hash e0e0e0e0e0e0e0e0 at height 1"),
    (lambda one: replace(one, blocks={1: "99" * 32, 2: "b2" * 32}), "block 1 is 9999"),
    (lambda one: replace(one, blocks={2: "b2" * 32}), "b at height 2 shows no block 1"),
    (lambda one: replace(one, supply=999), "b has a supply of 999 sap and counts 1000"),
    (lambda one: replace(one, counted_supply=1_001), "supply of 1000 sap and counts 1001"),
    (lambda one: replace(one, transfers={"aa": 1, "bb": None}), "but is not final at b"),
    (lambda one: replace(one, transfers={"aa": 1}), "transfer bb was final in block 2, but is not"),
    (lambda one: replace(one, transfers={"aa": 2, "bb": 2}), "but is in block 2 at b"),
    (lambda one: replace(one, collected=7), "b has paid 7 sap for 2 final transfers"),
    (lambda one: replace(one, collected=28), "b has paid 28 sap"),
    (lambda one: replace(one, collected=15), "b has paid 15 sap"),
    (lambda one: replace(one, bonds={"ff": 7}), "validator f0 has a bond of 0 sap at b"),
    (lambda one: replace(one, bonds={"f0": 475}), "validator f0 has a bond of 475 sap at b"),
    (lambda one: replace(one, rss_bytes=201 * MIB), "b has 201 MiB of memory, but may have 200"),
    (lambda one: replace(one, rss_bytes=0), "b has 0 MiB of memory"),
    (lambda one: replace(one, tasks={}), "task t1 is unknown at b"),
    (
        lambda one: replace(one, tasks={"t1": TaskAnswer("TASK_PHASE_FAILED", (b"pay",))}),
        "task t1 is TASK_PHASE_FAILED at b",
    ),
    (
        lambda one: replace(one, tasks={"t1": TaskAnswer("TASK_PHASE_SETTLED", ())}),
        "task t1 has other payments at b than at a",
    ),
]


@pytest.mark.parametrize(("forge", "said"), FORGERIES, ids=[said for _, said in FORGERIES])
def test_one_forged_answer_is_found_and_named(forge: Forge, said: str) -> None:
    faults = check_answers([honest("a"), forge(honest("b")), honest("c")], FACTS)
    assert len(faults) == 1
    assert said in faults[0]
