"""Read the file of a test network, and refuse whatever it does not define.

Every refusal is BAD_ARGUMENT and names the file, the entry and what is allowed there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.testing.dishonest.node_components import KINDS
from fedcoin.testing.networks.network_plan import (
    DEFAULT_BOND,
    FAULTS,
    FOLLOWER,
    ROLES,
    VALIDATOR,
    NetworkPlan,
    PlannedFault,
    PlannedLink,
    PlannedNode,
    PlannedTask,
    collide,
)
from fedcoin.testing.networks.plan_fields import (
    PlanTable,
    parse_choice,
    parse_many,
    parse_number,
    parse_positive,
    parse_text,
    parse_whole,
    wrong_entry,
    wrong_value,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_MAX_NODES = 32
_MAX_SECONDS = 3_600.0
_MAX_DELAY_MS = 10_000
_MAX_JUMP_MS = 86_400_000
_MAX_CLIENTS = 16
_MAX_LOCK_SECONDS = 55.0
"""A node waits a minute for a lock; then it ends."""


def read_plan(path: Path) -> NetworkPlan:
    """Read a test network.

    Args:
        path: A TOML file.

    Returns:
        The network.

    Raises:
        RefusalError: BAD_ARGUMENT when the file cannot be read or breaks a rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong_entry(str(path), f"cannot be read: {error}") from None
    return parse_plan(text, path.stem, str(path))


def parse_plan(text: str, name: str, source: str = "") -> NetworkPlan:
    """Parse a test network.

    Args:
        text: TOML, as `tests/networks` has it.
        name: The network's name.
        source: What errors call the file; by default the name.

    Returns:
        The network, whose faults are in the order of their times.

    Raises:
        RefusalError: BAD_ARGUMENT when the text is not TOML or breaks a rule.
    """
    source = source or name
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise wrong_entry(source, f"is not valid TOML: {error}") from None
    top = PlanTable(f"{source}: ", document)
    nodes = top.take("nodes", _nodes)
    names = [node.name for node in nodes]
    seconds = top.take("seconds", parse_number(0.1, _MAX_SECONDS))
    plan = NetworkPlan(
        name=name,
        nodes=nodes,
        seconds=seconds,
        links=top.take("links", parse_many(lambda at, raw: _link(at, raw, names)), ()),
        faults=top.take("faults", lambda at, raw: _faults(at, raw, nodes, seconds), ()),
        tasks=top.take("tasks", parse_many(lambda at, raw: _task(at, raw, seconds)), ()),
        parameters=top.take("parameters", _parameters, ()),
        transfers_per_second=top.take("transfers_per_second", parse_number(0.1, 1_000), 10.0),
        settle_seconds=top.take("settle_seconds", parse_number(1, _MAX_SECONDS), 60.0),
        max_memory_mib=top.take("max_memory_mib", parse_whole(16, 1 << 20), 512),
        expected_errors=top.take("expected_errors", parse_many(parse_text), ()),
    )
    top.end(_TOP_KEYS)
    return plan


_TOP_KEYS = (
    "nodes",
    "seconds",
    "links",
    "faults",
    "tasks",
    "parameters",
    "transfers_per_second",
    "settle_seconds",
    "max_memory_mib",
    "expected_errors",
)


def _nodes(at: str, raw: object) -> tuple[PlannedNode, ...]:
    tables = PlanTable(at, raw)
    names = list(raw) if isinstance(raw, dict) else []
    if len(names) > _MAX_NODES:
        raise wrong_value(at, len(names), f"at most {_MAX_NODES} nodes")
    nodes = tuple(tables.take(name, partial(_node, name)) for name in names)
    honest = sum(node.bond for node in nodes if node.is_honest)
    if honest * 3 <= sum(node.bond for node in nodes) * 2:
        raise wrong_entry(
            at, "give honest validators two thirds of the bonds or less, but voting needs more"
        )
    return nodes


def _node(name: str, at: str, raw: object) -> PlannedNode:
    if not _NAME.fullmatch(name):
        raise wrong_value(at, name, "a name of lower-case letters, digits and -")
    table = PlanTable(at, raw)
    role = table.take("role", parse_choice(ROLES), VALIDATOR)
    bond = 0
    if role == VALIDATOR:
        bond = table.take("bond", parse_positive, DEFAULT_BOND)
    kind = table.take("dishonest", parse_choice(KINDS), "") if "dishonest" in table else ""
    if kind and role != VALIDATOR:
        raise wrong_entry(table.at("dishonest"), "is for validators")
    table.end(("role", "bond", "dishonest") if role == VALIDATOR else ("role",))
    return PlannedNode(name, role, bond, kind)


def _link(at: str, raw: object, names: Sequence[str]) -> PlannedLink:
    table = PlanTable(at, raw)
    between = table.take("between", lambda where, pair: _pair(where, pair, names))
    delay_ms = table.take("delay_ms", parse_whole(1, _MAX_DELAY_MS))
    table.end(("between", "delay_ms"))
    return PlannedLink(frozenset(between), delay_ms)


def _task(at: str, raw: object, seconds: float) -> PlannedTask:
    table = PlanTable(at, raw)
    task = PlannedTask(
        table.take("at", parse_number(0, seconds)),
        table.take("clients", parse_whole(2, _MAX_CLIENTS)),
    )
    table.end(("at", "clients"))
    return task


def _parameters(at: str, raw: object) -> tuple[tuple[str, int], ...]:
    table = PlanTable(at, raw)
    names = list(raw) if isinstance(raw, dict) else []
    # The genesis refuses unknown names and values that the rules do not allow.
    return tuple((name, table.take(name, parse_whole(0, 1 << 62))) for name in names)


def _faults(
    at: str, raw: object, nodes: Sequence[PlannedNode], seconds: float
) -> tuple[PlannedFault, ...]:
    faults = parse_many(lambda where, one: _fault(where, one, nodes))(at, raw)
    for index, fault in enumerate(faults):
        if fault.end > seconds:
            raise wrong_entry(
                f"{at}[{index}]", f"ends at {fault.end} s, after the network's {seconds} s"
            )
    for (i, first), (j, second) in combinations(enumerate(faults), 2):
        if collide(first, second):
            raise wrong_entry(
                f"{at}[{j}]", f"happens while {at.rpartition(' ')[2]}[{i}] does, to the same nodes"
            )
    return tuple(sorted(faults, key=lambda fault: fault.at))


def _fault(at: str, raw: object, nodes: Sequence[PlannedNode]) -> PlannedFault:
    table = PlanTable(at, raw)
    kind = table.take("kind", parse_choice(FAULTS))
    begin = table.take("at", parse_number(0, _MAX_SECONDS))
    names = [node.name for node in nodes]
    keys = ["kind", "at"]

    def own(key: str, parse: Callable[[str, Any], _T]) -> _T:
        keys.append(key)
        return table.take(key, parse)

    lasting = kind not in ("reset", "bond", "unbond")
    most = _MAX_LOCK_SECONDS if kind == "lock" else _MAX_SECONDS
    fault = PlannedFault(
        kind,
        begin,
        seconds=own("seconds", parse_number(0, most)) if lasting else 0.0,
        nodes=_fault_nodes(kind, own, names),
        groups=own("groups", lambda where, one: _groups(where, one, names))
        if kind == "partition"
        else (),
        jump_ms=own("jump_ms", parse_whole(-_MAX_JUMP_MS, _MAX_JUMP_MS)) if kind == "clock" else 0,
        delay_ms=own("delay_ms", parse_whole(1, _MAX_DELAY_MS)) if kind == "slow" else 0,
        amount=own("amount", parse_positive) if kind in ("bond", "unbond") else 0,
    )
    table.end(keys)
    followers = [node.name for node in nodes if node.role == FOLLOWER and node.name in fault.nodes]
    if kind in ("bond", "unbond") and followers:
        raise wrong_entry(f"{at}.nodes", f"has {followers[0]}, but a follower would not vote")
    dishonest = [node.name for node in nodes if node.dishonest and node.name in fault.nodes]
    if kind == "clock" and dishonest:
        raise wrong_entry(
            f"{at}.nodes", f"has {dishonest[0]}, but only an honest node's clock can jump"
        )
    return fault


def _fault_nodes(kind: str, own: Callable[..., Any], names: Sequence[str]) -> tuple[str, ...]:
    if kind == "partition":
        return ()
    if kind == "slow":
        return tuple(own("between", lambda where, pair: _pair(where, pair, names)))
    return tuple(own("nodes", lambda where, some: _some(where, some, names)))


def _groups(at: str, raw: object, names: Sequence[str]) -> tuple[frozenset[str], ...]:
    groups = parse_many(lambda where, some: _some(where, some, names))(at, raw)
    grouped = [name for group in groups for name in group]
    if len(groups) < 2 or sorted(grouped) != sorted(names):
        raise wrong_value(
            at, [list(group) for group in groups], "two groups or more, with each node in one"
        )
    return tuple(frozenset(group) for group in groups)


def _pair(at: str, raw: object, names: Sequence[str]) -> tuple[str, ...]:
    found = _some(at, raw, names)
    if len(found) != 2:
        raise wrong_value(at, list(found), "two nodes")
    return found


def _some(at: str, raw: object, names: Sequence[str]) -> tuple[str, ...]:
    found = parse_many(parse_choice(names))(at, raw)
    if not found or len(set(found)) < len(found):
        raise wrong_value(at, list(found), "different nodes, one or more")
    return found
