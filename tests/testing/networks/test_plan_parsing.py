"""What a test network's file can say, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.testing.networks.network_plan import (
    PlannedFault,
    PlannedLink,
    PlannedNode,
    PlannedTask,
)
from fedcoin.testing.networks.plan_parsing import parse_plan, read_plan
from tests.support.paths import TESTS

NODES = """
seconds = 20
[nodes]
a = {}
b = { bond = "2000fdc" }
c = { role = "candidate" }
d = { role = "follower" }
e = { dishonest = "equivocator" }
"""

FAULTS = """
[[faults]]
kind = "clock"
at = 9
seconds = 2
nodes = ["b"]
jump_ms = -70_000

[[faults]]
kind = "partition"
at = 1.5
seconds = 3
groups = [["a", "b"], ["c", "d", "e"]]

[[faults]]
kind = "bond"
at = 10
nodes = ["c"]
amount = "500fdc"
"""

REST = """
[[links]]
between = ["d", "a"]
delay_ms = 80

[[tasks]]
at = 2
clients = 3

[parameters]
vote_timeout_ms = 100
"""


def refusal(text: str) -> str:
    with pytest.raises(RefusalError) as caught:
        parse_plan(text, "net", "net.toml")
    assert caught.value.code.value == "BAD_ARGUMENT"
    return str(caught.value)


def test_a_file_gives_nodes_links_tasks_and_faults_in_the_order_of_their_times() -> None:
    plan = parse_plan(NODES + FAULTS + REST, "net")
    bonds = {node.name: node.bond // SAP_PER_FDC for node in plan.nodes}
    assert bonds == {"a": 1000, "b": 2000, "c": 0, "d": 0, "e": 1000}
    assert plan.node("e") == PlannedNode("e", "validator", 1000 * SAP_PER_FDC, "equivocator")
    groups = (frozenset("ab"), frozenset("cde"))
    assert plan.faults == (
        PlannedFault("partition", 1.5, 3.0, groups=groups),
        PlannedFault("clock", 9.0, 2.0, ("b",), jump_ms=-70_000),
        PlannedFault("bond", 10.0, nodes=("c",), amount=500 * SAP_PER_FDC),
    )
    assert plan.links == (PlannedLink(frozenset("ad"), 80),)
    assert (plan.delay_ms("a", "d"), plan.delay_ms("a", "b")) == (80, 0)
    assert plan.tasks == (PlannedTask(2.0, 3),)
    assert plan.parameters == (("vote_timeout_ms", 100),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("", "net.toml: nodes is missing"),
        ("seconds = 1\nnodes = 4", "net.toml: nodes is 4, but must be a table"),
        ("seconds = 1\n[nodes]", "voting needs more"),
        ("[nodes]\na = {}", "net.toml: seconds is missing"),
        ("seconds = nan\n[nodes]\na = {}", "seconds is nan, but must be a number from 0.1 to 3600"),
        ("seconds = true\n[nodes]\na = {}", "seconds is True, but must be a number"),
        (
            "colour = 1\nseconds = 1\n[nodes]\na = {}",
            "net.toml: colour is unknown here; known are n",
        ),
        ("seconds = 1\n[nodes]\n'A.b' = {}", "'A.b', but must be a name of lower-case letters"),
        (
            "seconds = 1\n[nodes]\na = { role = 'king' }",
            "nodes.a.role is 'king', but must be one of",
        ),
        ("seconds = 1\n[nodes]\na = { bond = '3' }", "nodes.a.bond is wrong: '3' has no unit"),
        ("seconds = 1\n[nodes]\na = { bond = 3 }", "bond is 3, but must be an amount above zero"),
        ("seconds = 1\n[nodes]\na = {}\nb = { dishonest = 'shy' }", "nodes.b.dishonest is 'shy'"),
        ("seconds = 1\n[nodes]\na = {}\nb = { dishonest = 'censor' }", "voting needs more"),
        (
            "seconds = 1\n[nodes]\na = { role = 'follower', bond = '1fdc' }",
            "a.bond is unknown here",
        ),
        ("seconds = 1\n[nodes\n", "net.toml is not valid TOML"),
    ],
)
def test_a_wrong_network_is_refused_by_name(change: str, said: str) -> None:
    assert said in refusal(change)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("kind = 'rain'\nat = 1", "faults[0].kind is 'rain', but must be one of kill, pause"),
        ("kind = 'kill'\nat = 1\nseconds = 1", "faults[0].nodes is missing"),
        (
            "kind = 'kill'\nat = 1\nseconds = 1\nnodes = ['z']",
            "nodes[0] is 'z', but must be one of a,",
        ),
        ("kind = 'kill'\nat = 1\nseconds = 1\nnodes = []", "must be different nodes, one or more"),
        ("kind = 'kill'\nat = 1\nseconds = 1\nnodes = ['a', 'a']", "must be different nodes"),
        (
            "kind = 'kill'\nat = 19\nseconds = 2\nnodes = ['a']",
            "ends at 21.0 s, after the network's",
        ),
        (
            "kind = 'kill'\nat = 1\nseconds = 1\nnodes = ['a']\njump_ms = 3",
            "jump_ms is unknown here",
        ),
        ("kind = 'lock'\nat = 1\nseconds = 56\nnodes = ['a']", "must be a number from 0 to 55"),
        ("kind = 'partition'\nat = 1\nseconds = 1\ngroups = [['a'], ['b']]", "each node in one"),
        ("kind = 'slow'\nat = 1\nseconds = 1\nbetween = ['a']\ndelay_ms = 9", "must be two nodes"),
        ("kind = 'slow'\nat = 1\nseconds = 1\nbetween = ['a', 'b']", "delay_ms is missing"),
        (
            "kind = 'bond'\nat = 1\nnodes = ['d']\namount = '1fdc'",
            "has d, but a follower would not",
        ),
        (
            "kind = 'clock'\nat = 1\nseconds = 1\nnodes = ['e']\njump_ms = 5",
            "only an honest node's",
        ),
    ],
)
def test_a_wrong_fault_is_refused_by_its_number(fault: str, said: str) -> None:
    assert said in refusal(f"{NODES}\n[[faults]]\n{fault}")


KILL = "[[faults]]\nkind = 'kill'\nat = 1\nseconds = 4\nnodes = ['a', 'b']\n"


@pytest.mark.parametrize(
    ("other", "collides"),
    [
        ("kind = 'pause'\nat = 4\nseconds = 4\nnodes = ['b']", True),
        ("kind = 'lock'\nat = 4\nseconds = 4\nnodes = ['a']", True),
        ("kind = 'pause'\nat = 4\nseconds = 4\nnodes = ['d']", False),
        ("kind = 'pause'\nat = 6\nseconds = 4\nnodes = ['a']", False),
        ("kind = 'reset'\nat = 2\nnodes = ['a']", False),
    ],
)
def test_a_node_that_is_down_cannot_be_stopped_again(other: str, collides: bool) -> None:
    text = f"{NODES}\n{KILL}[[faults]]\n{other}"
    if collides:
        assert "faults[1] happens while faults[0] does, to the same nodes" in refusal(text)
    else:
        assert len(parse_plan(text, "net").faults) == 2


def test_every_network_of_this_folder_can_be_read() -> None:
    files = sorted((TESTS / "networks").rglob("*.toml"))
    assert {read_plan(path).name for path in files} == {path.stem for path in files} != set()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match=r"missing\.toml cannot be read"):
        read_plan(tmp_path / "missing.toml")
