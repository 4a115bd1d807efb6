"""What a validator may do wrong when it is its turn to build a block.

Pure: a ledger and candidates in, a block's content out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

from fedcoin.consensus import posap
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.ledger import Built, Execution, Ledger
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.overlay import Overlay
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.vote_pb2 import Certificate

MINING_ACTIONS = frozenset({"commit_shapley", "reveal_shapley"})
"""The actions by which miners take part in a task."""

MAX_TRIES = 64
"""Blocks that a grinder builds in one turn: each takes as long as a block takes."""


def exclude_rivals(ready: Iterable[Transaction], own: bytes) -> list[Transaction]:
    """What a censor puts into its block: no commitment, opening or reveal but its own."""
    return [
        transaction
        for transaction in ready
        if transaction.sender == own or action_name(transaction.body) not in MINING_ACTIONS
    ]


@dataclass(frozen=True, slots=True)
class GroundBlock:
    """The block that a grinder likes best, of how many, and how many challenges those fix."""

    context: BlockContext
    built: Built
    tries: int = 1
    challenges: int = 0


def grind_block(
    ledger: Ledger,
    context: BlockContext,
    candidates: Sequence[Transaction],
    max_bytes: int,
    certificates: Sequence[bytes] = (),
) -> GroundBlock:
    """Build blocks until one fixes a challenge that makes the proposer the winner.

    Tried are other times, other certificates, and each choice of openings to leave out. If none
    suits, a block that leaves the window open is better than one that fixes a bad challenge.
    """
    best: tuple[int, GroundBlock] | None = None
    challenges: set[bytes] = set()
    tries = 0
    for variant, chosen in islice(_variants(context, candidates, certificates), MAX_TRIES):
        built = ledger.build(variant, chosen, max_bytes)
        tries += 1
        fixed = _fixed(built.execution)
        challenges.update(task.challenge for task in fixed.values())
        rank = _rank(ledger, built.execution, fixed, context.proposer)
        if best is None or rank > best[0]:
            best = rank, GroundBlock(variant, built)
    assert best is not None, "the block as it comes is always tried"
    return replace(best[1], tries=tries, challenges=len(challenges))


def quorum_subsets(certificate: bytes, validators: ValidatorSet) -> list[bytes]:
    """Other certificates that make the same block final: parts of one, still with a quorum."""
    whole = Certificate.FromString(certificate).precommits if certificate else []
    found = []
    for size in range(1, len(whole)):
        for part in combinations(whole, size):
            members = [validators.by_key(vote.public_key) for vote in part]
            if validators.has_quorum(sum(member.power for member in members if member)):
                raw = Certificate(precommits=part).SerializeToString(deterministic=True)
                found.append(raw)
    return found


def _variants(
    context: BlockContext, candidates: Sequence[Transaction], certificates: Sequence[bytes]
) -> Iterator[tuple[BlockContext, Sequence[Transaction]]]:
    yield context, candidates
    openings = [transaction for transaction in candidates if _is_opening(transaction)]
    if not openings:
        return
    for certificate in certificates:
        yield replace(context, last_certificate=certificate), candidates
    for later in (1, 2, 3):
        yield replace(context, time_ms=context.time_ms + later), candidates
    for size in range(1, len(openings) + 1):
        for left_out in combinations(openings, size):
            hashes = {transaction.hash for transaction in left_out}
            yield context, [tx for tx in candidates if tx.hash not in hashes]


def _is_opening(transaction: Transaction) -> bool:
    body = transaction.body
    return action_name(body) == "reveal_shapley" and not body.reveal_shapley.evidence.leaves


def _fixed(execution: Execution) -> dict[bytes, TaskState]:
    """The tasks whose challenge a block fixes."""
    prefix = records.TASKS.prefix
    tasks = {
        key[len(prefix) :]: TaskState.FromString(value)
        for key, value in execution.changes.items()
        if value is not None and key.startswith(prefix)
    }
    reveal = block_pb2.TASK_PHASE_REVEAL
    return {task_id: task for task_id, task in tasks.items() if task.phase == reveal}


def _rank(ledger: Ledger, execution: Execution, fixed: dict[bytes, TaskState], own: bytes) -> int:
    """2: wins a draw; 1: nothing is drawn yet, or nothing is to be won by it; 0: loses one."""
    state = Overlay(ledger.reader)
    for key, value in execution.changes.items():
        if value is None:
            state.delete(key)
        else:
            state.put(key, value)
    ranks = []
    for task_id, task in fixed.items():
        terms = records.TERMS.get(state, task_id)
        assert terms is not None, "a task without terms"
        if terms.sampling.schedule == task_pb2.SCHEDULE_EXACT:
            winner = _drawn(state, task_id, task, execution.next_validators)
            ranks.append(2 if winner == own else 0)
    return min(ranks, default=1)


def _drawn(state: Overlay, task_id: bytes, task: TaskState, validators: ValidatorSet) -> bytes:
    """Who wins an EXACT task if everybody who opened reveals."""
    reveals = [
        posap.Reveal(address, validator.power, 1, (0,))
        for address, miner in records.MINERS.scan(state, task_id)
        if miner.salt and (validator := validators.by_address(address)) is not None
    ]
    outcome = posap.compute_outcome(reveals, 1, task.challenge, exact=True, min_samples_percent=100)
    assert outcome is not None, "a challenge is fixed by openings with a quorum"
    return outcome.winner
