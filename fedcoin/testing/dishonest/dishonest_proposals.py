"""Choose a block's content dishonestly: leave other miners out, or search for a good challenge.

Functions without side effects: a ledger and candidates in, a block's content out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

from fedcoin.consensus import posap
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.execution import BuiltBlock, Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.overlay import Overlay
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.vote_pb2 import Certificate

MINING_ACTIONS = frozenset({"commit_shapley", "reveal_shapley"})
"""The names of the actions by which miners take part in a task."""

MAX_TRIES = 64
"""How many blocks `grind_block` builds in one turn; each is executed completely."""


def exclude_rivals(candidates: Iterable[Transaction], own: bytes) -> list[Transaction]:
    """Leave out other miners' commitments, openings and reveals.

    Args:
        candidates: Transactions that could be in the block.
        own: The censor's address, 20 bytes.

    Returns:
        The other candidates, in their order.
    """
    return [
        transaction
        for transaction in candidates
        if transaction.sender == own or action_name(transaction.body) not in MINING_ACTIONS
    ]


@dataclass(frozen=True, slots=True)
class GroundBlock:
    """The block that `grind_block` chose: of all that it built, the one that suits its proposer."""

    # The block's height, time, proposer and certificate.
    context: BlockContext
    # The block's content, and the result of executing it.
    built: BuiltBlock
    # The number of blocks that were built.
    tries: int = 1
    # The number of different challenges that these blocks would have led to.
    challenges: int = 0


def grind_block(
    ledger: Ledger,
    context: BlockContext,
    candidates: Sequence[Transaction],
    max_bytes: int,
    certificates: Sequence[bytes] = (),
) -> GroundBlock:
    """Search for a block that fixes a challenge by which its proposer wins an EXACT task.

    Other times, other certificates, and each choice of openings to leave out are tried. If no block
    lets the proposer win, one that leaves the challenge open is preferred to one that lets another
    miner win.

    Args:
        ledger: The proposer's ledger.
        context: The block's height, time, proposer and certificate.
        candidates: Transactions that could be in the block.
        max_bytes: The size that a block may have, in bytes.
        certificates: Other certificates of the last block, serialised.

    Returns:
        The best of at most `MAX_TRIES` blocks.
    """
    best: tuple[int, GroundBlock] | None = None
    challenges: set[bytes] = set()
    tries = 0
    for variant, chosen in islice(_variants(context, candidates, certificates), MAX_TRIES):
        built = ledger.build(variant, chosen, max_bytes)
        tries += 1
        fixed = _find_fixed_challenges(built.execution)
        challenges.update(task.challenge for task in fixed.values())
        rank = _rank(ledger, built.execution, fixed, context.proposer)
        if best is None or rank > best[0]:
            best = rank, GroundBlock(variant, built)
    assert best is not None, "the unchanged block is always tried"
    return replace(best[1], tries=tries, challenges=len(challenges))


def quorum_subsets(certificate: bytes, validators: ValidatorSet) -> list[bytes]:
    """List the certificates that make the same block final with fewer precommits.

    Args:
        certificate: A serialised Certificate; empty before the first block.
        validators: The validators whose precommits it holds.

    Returns:
        Serialised Certificates whose precommits are a proper subset with a quorum.
    """
    precommits = Certificate.FromString(certificate).precommits if certificate else []
    found = []
    for size in range(1, len(precommits)):
        for part in combinations(precommits, size):
            members = [validators.by_key(vote.public_key) for vote in part]
            if validators.has_quorum(sum(member.power for member in members if member)):
                raw = Certificate(precommits=part).SerializeToString(deterministic=True)
                found.append(raw)
    return found


def _variants(
    context: BlockContext, candidates: Sequence[Transaction], certificates: Sequence[bytes]
) -> Iterator[tuple[BlockContext, Sequence[Transaction]]]:
    """Yield the unchanged block first, then all others that can change a challenge."""
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


def _find_fixed_challenges(execution: Execution) -> dict[bytes, TaskState]:
    """Find the tasks whose challenge a block fixes, by task id."""
    prefix = records.TASKS.prefix
    tasks = {
        key[len(prefix) :]: TaskState.FromString(value)
        for key, value in execution.changes.items()
        if value is not None and key.startswith(prefix)
    }
    reveal = block_pb2.TASK_PHASE_REVEAL
    return {task_id: task for task_id, task in tasks.items() if task.phase == reveal}


def _rank(ledger: Ledger, execution: Execution, fixed: dict[bytes, TaskState], own: bytes) -> int:
    """Rank a block: 2 if its proposer wins, 0 if it loses a task, 1 if no winner is decided."""
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
            winner = _find_winner(state, task_id, task)
            ranks.append(2 if winner == own else 0)
    return min(ranks, default=1)


def _find_winner(state: Overlay, task_id: bytes, task: TaskState) -> bytes:
    """Find the winner of an EXACT task if every miner that opened its commitment reveals."""
    reveals = [
        posap.Reveal(address, miner.power, 1, (0,))
        for address, miner in records.MINERS.scan(state, task_id)
        if miner.salt and miner.power
    ]
    outcome = posap.compute_outcome(
        reveals, 1, task.challenge, is_drawn=True, min_samples_percent=100
    )
    assert outcome is not None, "a challenge is fixed by openings with a quorum"
    return outcome.winner
