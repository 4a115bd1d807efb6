"""Draw test networks from seeds, and write networks as the files that describe them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from random import Random

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.testing.networks.network_plan import (
    CANDIDATE,
    DEFAULT_BOND,
    FAULTS,
    FOLLOWER,
    VALIDATOR,
    NetworkPlan,
    PlannedFault,
    PlannedLink,
    PlannedNode,
    PlannedTask,
    collide,
)

DISHONEST_KINDS = (
    "equivocator",
    "censor",
    "misnaming-proposer",
    "stale-peer",
    "wrong-network",
    "pool-filler",
)
"""The kinds that are drawn: those that disturb votes, blocks or transactions."""

_MAX_TRIES = 50
"""How often a fault is drawn anew when it collides with an earlier one."""

_LASTING = {
    "kill": (0.5, 4.0),
    "pause": (0.5, 4.0),
    "restart": (1.0, 4.0),
    "disk-full": (3.0, 6.0),
    "lock": (0.5, 6.0),
    "clock": (2.0, 6.0),
    "partition": (1.0, 6.0),
    "slow": (1.0, 6.0),
}
"""The shortest and the longest fault of each kind, in seconds."""


def draw_network(seed: int) -> NetworkPlan:
    """Draw a network of four to six validators, its links, tasks and faults.

    Args:
        seed: Decides everything.

    Returns:
        The network, which depends on the seed alone. What its processes do does not.
    """
    rng = Random(seed)
    nodes = _draw_nodes(rng)
    faults: list[PlannedFault] = []
    at = 0.5
    for _ in range(rng.randint(3, 6)):
        fault = _draw_fault(rng, nodes, at, faults)
        if fault is not None:
            faults.append(fault)
            # Every other fault begins before the one before it is over.
            at = fault.at + rng.choice((0.3, 1.1)) * fault.seconds + rng.uniform(0.2, 1.5)
    seconds = round(max(fault.end for fault in faults) + 2.0, 1)
    return NetworkPlan(
        name=f"seed-{seed}",
        nodes=nodes,
        seconds=seconds,
        links=_draw_links(rng, nodes),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
        tasks=(PlannedTask(1.0, rng.randint(2, 4)),) if rng.random() < 0.25 else (),
        transfers_per_second=float(rng.choice((2, 10, 30))),
        settle_seconds=120.0,
    )


def _draw_nodes(rng: Random) -> tuple[PlannedNode, ...]:
    count = rng.choice((4, 4, 4, 5, 6))
    nodes = [
        PlannedNode(chr(ord("a") + index), VALIDATOR, rng.choice((1, 1, 2)) * DEFAULT_BOND)
        for index in range(count)
    ]
    if rng.random() < 0.3:
        # The smallest bond: the others must have more than two thirds.
        nodes[-1] = PlannedNode(
            nodes[-1].name, VALIDATOR, DEFAULT_BOND // 2, rng.choice(DISHONEST_KINDS)
        )
    if rng.random() < 0.3:
        nodes.append(PlannedNode("candidate", CANDIDATE, 0))
    if rng.random() < 0.3:
        nodes.append(PlannedNode("follower", FOLLOWER, 0))
    return tuple(nodes)


def _draw_links(rng: Random, nodes: tuple[PlannedNode, ...]) -> tuple[PlannedLink, ...]:
    if rng.random() < 0.6:
        return ()
    pairs = combinations((node.name for node in nodes), 2)
    return tuple(PlannedLink(frozenset(pair), rng.randint(5, 80)) for pair in pairs)


def _draw_fault(
    rng: Random, nodes: tuple[PlannedNode, ...], at: float, before: list[PlannedFault]
) -> PlannedFault | None:
    for _ in range(_MAX_TRIES):
        fault = _draw_any_fault(rng, nodes, round(at, 1), rng.choice(FAULTS))
        if not any(collide(fault, other) for other in before):
            return fault
    return None


def _draw_any_fault(
    rng: Random, nodes: tuple[PlannedNode, ...], at: float, kind: str
) -> PlannedFault:
    seconds = round(rng.uniform(*_LASTING.get(kind, (0.0, 0.0))), 1)
    amount = {"bond": 300, "unbond": 100}.get(kind, 0) * SAP_PER_FDC
    jump_ms = rng.choice((-1, 1)) * rng.choice((1_000, 10_000, 600_000))
    return PlannedFault(
        kind,
        at,
        seconds,
        nodes=() if kind == "partition" else _draw_victims(rng, nodes, kind),
        groups=_draw_groups(rng, nodes) if kind == "partition" else (),
        jump_ms=jump_ms if kind == "clock" else 0,
        delay_ms=rng.choice((50, 300, 1_500)) if kind == "slow" else 0,
        amount=amount,
    )


def _draw_groups(rng: Random, nodes: tuple[PlannedNode, ...]) -> tuple[frozenset[str], ...]:
    names = [node.name for node in nodes]
    rng.shuffle(names)
    cut = rng.randint(1, len(names) - 1)
    return frozenset(names[:cut]), frozenset(names[cut:])


def _draw_victims(rng: Random, nodes: tuple[PlannedNode, ...], kind: str) -> tuple[str, ...]:
    names = [node.name for node in nodes]
    if kind == "slow":
        return tuple(rng.sample(names, 2))
    if kind in ("kill", "pause", "restart", "reset"):
        return tuple(rng.sample(names, rng.choice((1, 1, 2, len(names)))))
    if kind == "bond" and any(node.role == CANDIDATE for node in nodes):
        # The validator set grows; without a candidate, only powers change.
        return tuple(node.name for node in nodes if node.role == CANDIDATE)
    honest = [node for node in nodes if node.is_honest]
    if kind in ("bond", "unbond"):
        honest = [node for node in honest if node.bond]
    return (rng.choice(honest).name,)


def render_plan(plan: NetworkPlan) -> str:
    """Write a network as the file that describes it.

    Args:
        plan: The network.

    Returns:
        TOML, which `plan_parsing.parse_plan` reads as an equal network.
    """
    lines = [
        f"seconds = {plan.seconds}",
        f"transfers_per_second = {plan.transfers_per_second}",
        f"settle_seconds = {plan.settle_seconds}",
        f"max_memory_mib = {plan.max_memory_mib}",
        f"expected_errors = {json.dumps(plan.expected_errors)}",
        "\n[parameters]",
        *(f"{name} = {value}" for name, value in plan.parameters),
        "\n[nodes]",
        *(f"{node.name} = {{ {', '.join(_render_node(node))} }}" for node in plan.nodes),
    ]
    for link in plan.links:
        lines += ["\n[[links]]", f"between = {json.dumps(sorted(link.between))}"]
        lines.append(f"delay_ms = {link.delay_ms}")
    for task in plan.tasks:
        lines += ["\n[[tasks]]", f"at = {task.at}", f"clients = {task.clients}"]
    for fault in plan.faults:
        lines += ["\n[[faults]]", *_render_fault(fault)]
    return "\n".join(lines) + "\n"


def _render_node(node: PlannedNode) -> Iterator[str]:
    yield f'role = "{node.role}"'
    if node.role == VALIDATOR:
        yield f'bond = "{node.bond}sap"'
    if node.dishonest:
        yield f'dishonest = "{node.dishonest}"'


def _render_fault(fault: PlannedFault) -> Iterator[str]:
    yield f'kind = "{fault.kind}"'
    yield f"at = {fault.at}"
    if fault.kind in _LASTING:
        yield f"seconds = {fault.seconds}"
    if fault.nodes:
        key = "between" if fault.kind == "slow" else "nodes"
        yield f"{key} = {json.dumps(fault.nodes)}"
    if fault.groups:
        yield f"groups = {json.dumps([sorted(group) for group in fault.groups])}"
    if fault.kind == "clock":
        yield f"jump_ms = {fault.jump_ms}"
    if fault.kind == "slow":
        yield f"delay_ms = {fault.delay_ms}"
    if fault.amount:
        yield f'amount = "{fault.amount}sap"'
