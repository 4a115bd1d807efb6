"""Networks that are drawn depend on their seed alone, can be written as files, and vary."""

from __future__ import annotations

from fedcoin.testing.networks.network_plan import FAULTS
from fedcoin.testing.networks.plan_parsing import parse_plan
from fedcoin.testing.networks.random_networks import DISHONEST_KINDS, draw_network, render_plan

SEEDS = range(150)


def test_every_drawn_network_is_read_back_from_its_file() -> None:
    for seed in SEEDS[:25]:
        plan = draw_network(seed)
        assert parse_plan(render_plan(plan), plan.name) == plan
        assert draw_network(seed) == plan


def test_drawn_networks_hold_every_kind_of_fault_role_and_dishonest_node() -> None:
    plans = [draw_network(seed) for seed in SEEDS]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(FAULTS)
    assert {len(plan.faults) for plan in plans} >= {3, 4, 5, 6}
    nodes = [node for plan in plans for node in plan.nodes]
    assert {node.role for node in nodes} == {"validator", "candidate", "follower"}
    assert {node.dishonest for node in nodes} == {"", *DISHONEST_KINDS}
    assert (
        {bool(plan.tasks) for plan in plans}
        == {bool(plan.links) for plan in plans}
        == {False, True}
    )


def test_some_faults_overlap_and_some_hit_all_nodes() -> None:
    plans = [draw_network(seed) for seed in SEEDS]
    pairs = [pair for plan in plans for pair in zip(plan.faults, plan.faults[1:], strict=False)]
    assert {later.at < earlier.end for earlier, later in pairs} == {False, True}
    kills = [
        (len(fault.nodes), len(plan.nodes))
        for plan in plans
        for fault in plan.faults
        if fault.kind == "kill"
    ]
    assert any(hit == there for hit, there in kills)
