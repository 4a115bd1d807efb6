"""What must hold for the answers of all honest nodes, whatever happened to their network.

Each check is a pure function of the answers and of what the test itself knows, and yields one
sentence for each fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedcoin.testing.networks.node_answers import NodeAnswers
from fedcoin.testing.networks.transfer_load import AMOUNT

MIB = 1 << 20

SETTLED = "TASK_PHASE_SETTLED"


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """What a test knows without asking the nodes it checks."""

    # All coins of the genesis, in sap.
    supply: int
    # The height of each transfer that a node called final, by its hash in hex.
    final: Mapping[str, int]
    # How many transfers were tried.
    num_tried: int
    # The bond that each honest validator must have, in sap, by its public key in hex.
    bonds: Mapping[str, int] = field(default_factory=dict)
    # The largest memory of a node, in bytes.
    max_memory_bytes: int = 1 << 62
    # The ids of published tasks, in hex.
    tasks: Sequence[str] = ()


def check_answers(answers: Sequence[NodeAnswers], facts: KnownFacts) -> list[str]:
    """Apply all checks.

    Args:
        answers: The answers of each honest node, at least one.
        facts: What the test knows.

    Returns:
        One sentence for each fault; empty when all is well.
    """
    found = [*check_states(answers), *check_blocks(answers)]
    for one in answers:
        found += [
            *check_supply(one, facts),
            *check_transfers(one, facts),
            *check_bonds(one, facts),
            *check_memory(one, facts),
            *check_tasks(one, answers[0], facts),
        ]
    return found


def check_states(answers: Sequence[NodeAnswers]) -> Iterator[str]:
    """Check that all nodes have one height and one state.

    Args:
        answers: The answers of each node.

    Yields:
        One sentence for each node that differs from the first one.
    """
    first = answers[0]
    for one in answers[1:]:
        if (one.height, one.app_hash) != (first.height, first.app_hash):
            yield (
                f"{one.node} has app hash {one.app_hash[:16]} at height {one.height}, but "
                f"{first.node} has {first.app_hash[:16]} at height {first.height}"
            )


def check_blocks(answers: Sequence[NodeAnswers]) -> Iterator[str]:
    """Check that nodes have the same block at each height that they show.

    Args:
        answers: The answers of each node.

    Yields:
        One sentence for each node that shows another block, or lacks one below its height.
    """
    seen: dict[int, tuple[str, str]] = {}
    for one in answers:
        for height, hash_ in sorted(one.blocks.items()):
            node, other = seen.setdefault(height, (one.node, hash_))
            if other != hash_:
                yield (f"block {height} is {hash_[:16]} at {one.node} and {other[:16]} at {node}")
                break
        missing = sorted(set(range(1, one.height + 1)) - set(one.blocks))
        if missing:
            yield f"{one.node} at height {one.height} shows no block {missing[0]}"


def check_supply(one: NodeAnswers, facts: KnownFacts) -> Iterator[str]:
    """Check that no coin was made or lost.

    Args:
        one: The answers of a node.
        facts: Hold the supply of the genesis.

    Yields:
        One sentence when the books or the count differ from it.
    """
    if not one.supply == one.counted_supply == facts.supply:
        yield (
            f"{one.node} has a supply of {one.supply} sap and counts {one.counted_supply}, but the "
            f"genesis has {facts.supply}"
        )


def check_transfers(one: NodeAnswers, facts: KnownFacts) -> Iterator[str]:
    """Check that no acknowledged transfer was lost or moved, and that each was paid once.

    Args:
        one: The answers of a node.
        facts: Hold the transfers.

    Yields:
        One sentence for each transfer that is elsewhere, and one for a wrong sum.
    """
    for hash_, height in facts.final.items():
        at = one.transfers.get(hash_)
        if at != height:
            where = "not final" if at is None else f"in block {at}"
            yield f"transfer {hash_[:16]} was final in block {height}, but is {where} at {one.node}"
    least, most = AMOUNT * len(facts.final), AMOUNT * facts.num_tried
    # Some of the transfers that no node acknowledged may be final.
    if one.collected % AMOUNT or not least <= one.collected <= most:
        yield (
            f"{one.node} has paid {one.collected} sap for {len(facts.final)} final transfers of "
            f"{AMOUNT} sap, of {facts.num_tried} that were tried"
        )


def check_bonds(one: NodeAnswers, facts: KnownFacts) -> Iterator[str]:
    """Check that no honest validator lost its bond.

    Args:
        one: The answers of a node.
        facts: Hold the bonds.

    Yields:
        One sentence for each bond that differs.
    """
    for key, bond in facts.bonds.items():
        found = one.bonds.get(key, 0)
        if found != bond:
            yield f"validator {key[:16]} has a bond of {found} sap at {one.node}, and not of {bond}"


def check_memory(one: NodeAnswers, facts: KnownFacts) -> Iterator[str]:
    """Check that a node's memory is within bounds.

    Args:
        one: The answers of a node.
        facts: Hold the bound.

    Yields:
        One sentence when it is not.
    """
    if not 0 < one.rss_bytes <= facts.max_memory_bytes:
        yield (
            f"{one.node} has {one.rss_bytes / MIB:.0f} MiB of memory, but may have "
            f"{facts.max_memory_bytes / MIB:.0f} MiB"
        )


def check_tasks(one: NodeAnswers, first: NodeAnswers, facts: KnownFacts) -> Iterator[str]:
    """Check that each published task was settled, and paid alike on all nodes.

    Args:
        one: The answers of a node.
        first: The answers of the first node.
        facts: Hold the tasks.

    Yields:
        One sentence for each task that is open or failed, or paid otherwise than at the first node.
    """
    for task in facts.tasks:
        answer = one.tasks.get(task)
        if answer is None or answer.phase != SETTLED:
            yield f"task {task[:16]} is {answer.phase if answer else 'unknown'} at {one.node}"
        elif answer != first.tasks.get(task):
            yield f"task {task[:16]} has other payments at {one.node} than at {first.node}"
