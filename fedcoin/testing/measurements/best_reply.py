"""Search for a reply to honest miners that earns an owner more than its share of the power.

The owner has a tenth of the power, and everything that could help it: it splits its bond over many
keys, lets some of them not commit, opens last, when it knows all salts of the others, and withholds
the set of salts, and later of reveals, that pays best; and it bonds more coins when the challenge
is known. It predicts the pay of each set by the rules of the protocol; what it earns is counted on
the product's ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.testing.campaign_simulation.coalition_play import CoalitionPlay, Reply, subsets
from fedcoin.v1 import task_pb2

DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "keys": (1, 2, 5, 20),
    "max_salts": (0, 1, 2),
    "max_leaves": (0, 1, 2),
    "skipped": (0, 1),
    "bonds_late": (False, True),
    "opens_last": (True, False),
}
"""What the owner can choose, by the field of `Reply`."""

HONEST_REPLY = Reply()
"""Plays as the protocol asks."""


@dataclass(frozen=True)
class ReplyOutcome:
    """What an owner of several miners earned by one strategy. Amounts are in FDC for each task."""

    # The strategy: which commitments, salts and reveals the owner withholds.
    reply: Reply
    # "pro_rata" or "winner".
    reward: str
    # A value of the enum Schedule.
    schedule: int
    # The number of tasks played.
    tasks: int
    # The mean that the ledger paid to the owner's keys, less the deposits that it burned.
    net: float
    # The standard error of `net`.
    std_error: float
    # What the same keys would have earned if none of them had withheld anything.
    acting: float
    # The owner's share of the power at the opening, times the mining price.
    fair: float
    # The number of tasks in which the owner earned more than by acting with all keys.
    gains: int


@dataclass(frozen=True)
class SaltOutcome:
    """What withholding salts earns where the winner takes all, for one size of the deposit."""

    # Into how many keys a tenth of the power is split.
    keys: int
    # The deposit, as a share of the mining price.
    deposit: float
    # Of the mining price, for each task: net of burned deposits, with the best set of at most two
    # withheld salts, and with none.
    net: float
    acting: float


def measure_reply(
    reply: Reply, reward: str, schedule: int, tasks: int, *, seed: int = 1
) -> ReplyOutcome:
    """Measure what an owner of a tenth of the power earns by one strategy, on the ledger.

    Args:
        reply: The owner's strategy.
        reward: "pro_rata" or "winner".
        schedule: A value of the enum Schedule.
        tasks: How many tasks to play, at least 2.
        seed: Seeds the utilities of the clients' coalitions.

    Returns:
        The mean earnings, and what they are compared with.
    """
    play = CoalitionPlay(reply, reward == "winner", schedule, tasks, seed)
    played = [play.run_task() for _ in range(tasks)]
    # Else what the owner chose was not the best that it could have.
    assert all(task.net == task.predicted for task in played), "the owner predicts wrongly"
    nets = [task.net for task in played]
    return ReplyOutcome(
        reply=reply,
        reward=reward,
        schedule=schedule,
        tasks=tasks,
        net=mean(nets) / SAP_PER_FDC,
        std_error=stdev(nets) / tasks**0.5 / SAP_PER_FDC,
        acting=mean(task.acting for task in played) / SAP_PER_FDC,
        fair=mean(task.fair for task in played) / SAP_PER_FDC,
        gains=sum(task.net > task.acting for task in played),
    )


def search_best_reply(reward: str, schedule: int, tasks: int) -> list[ReplyOutcome]:
    """Change one choice at a time for as long as the owner earns more than by acting.

    Which keys are drawn is chance, and differs between splits. So replies are compared by how much
    more they earn than the same keys would have earned by acting in the same tasks.

    Args:
        reward: "pro_rata" or "winner".
        schedule: A value of the enum Schedule.
        tasks: The number of tasks to play with each reply.

    Returns:
        The outcome of each reply that was tried, the honest one first.
    """
    tried = {HONEST_REPLY: measure_reply(HONEST_REPLY, reward, schedule, tasks)}
    best = HONEST_REPLY
    while True:
        for reply in neighbours(best):
            if reply not in tried:
                tried[reply] = measure_reply(reply, reward, schedule, tasks)
        found = max(tried.values(), key=lambda outcome: outcome.net - outcome.acting)
        if found.net - found.acting <= tried[best].net - tried[best].acting:
            return list(tried.values())
        best = found.reply


def neighbours(reply: Reply) -> Iterator[Reply]:
    """List the replies that have any number of keys and differ in at most one other choice.

    Args:
        reply: The reply to vary.

    Yields:
        The replies, with values of `DIMENSIONS`; `reply` itself is among them when its number of
        keys is one of these.
    """
    for keys in DIMENSIONS["keys"]:
        split = replace(reply, keys=keys)
        yield split
        for name, values in DIMENSIONS.items():
            for value in values:
                other = replace(split, **{name: value})
                if name != "keys" and other != split and other.skipped < other.keys:
                    yield other


def measure_withheld_salts(tasks: int, keys: int, deposit: float) -> SaltOutcome:
    """Let an owner of a tenth of the power withhold the best set of salts, by the rule of the draw.

    Args:
        tasks: How many tasks to draw.
        keys: Into how many keys its bond is split.
        deposit: What a withheld salt costs, as a share of the mining price.

    Returns:
        Its mean earnings, with the best set withheld and with none.
    """
    powers = {bytes([1, i]) * 10: 90 * 20 // 9 for i in range(9)}
    own = [bytes([2, i]) * 10 for i in range(keys)]
    powers |= dict.fromkeys(own, 200 // keys)
    best, acting = [], []
    for number in range(tasks):
        salts = {address: sha256(address, number.to_bytes(4, "big")) for address in powers}
        worth = []
        for withheld in subsets(own, 2):
            opened = {a: salt for a, salt in salts.items() if a not in withheld}
            challenge = derive_challenge(sha256(number.to_bytes(4, "big")), 0, opened)
            drawn = max(opened, key=lambda a: compute_score(challenge, a, powers[a]))
            worth.append(float(drawn in own) - deposit * len(withheld))
        best.append(max(worth))
        acting.append(worth[0])
    return SaltOutcome(keys, deposit, mean(best), mean(acting))


REPLIES: dict[str, Reply] = {
    "honest with one key": HONEST_REPLY,
    "honest with 20 keys": Reply(keys=20),
    "withholds up to 2 of 5 salts": Reply(keys=5, max_salts=2),
    "withholds up to 2 of 20 salts": Reply(keys=20, max_salts=2),
    "withholds up to 2 of 20 reveals": Reply(keys=20, max_leaves=2),
    "withholds up to 2 of 20 salts, then 2 reveals": Reply(keys=20, max_salts=2, max_leaves=2),
    "withholds 1 of 5 salts without knowing the others": Reply(
        keys=5, max_salts=1, opens_last=False
    ),
    "commits with 4 of 5 keys": Reply(keys=5, skipped=1),
    "proves 50 times as many samples": Reply(diligence=50),
    "bonds more when the challenge is known": Reply(bonds_late=True),
}
"""The replies of the study's table, by what the owner does."""

MODES: tuple[tuple[str, int], ...] = (
    ("pro_rata", task_pb2.SCHEDULE_EXACT),
    ("pro_rata", task_pb2.SCHEDULE_PERMUTATION),
    ("winner", task_pb2.SCHEDULE_EXACT),
    ("winner", task_pb2.SCHEDULE_PERMUTATION),
)
"""The rewards and schedules under which replies are searched."""
