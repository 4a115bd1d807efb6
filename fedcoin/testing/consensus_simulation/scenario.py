"""Everything that will go wrong in one run, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAULT_KINDS = (
    "equivocator",
    "withholder",
    "nil-voter",
    "random-voter",
    "splitter",
    "flooder",
    "forgetful",
    "yes-man",
    "saboteur",
    "two-faced",
)
"""What a faulty validator may do; `adversaries` says how."""


@dataclass(frozen=True, slots=True)
class LinkCut:
    """From `start_ms` to `end_ms` nothing comes through from `senders` to `receivers`."""

    start_ms: int
    end_ms: int
    senders: frozenset[int]
    receivers: frozenset[int]


@dataclass(frozen=True, slots=True)
class NodeCrash:
    """A node stops at `at_ms` with its memory lost, and comes back after `down_ms`."""

    node: int
    at_ms: int
    down_ms: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Times are virtual ms; chances lie between 0 and 1.

    `powers` gives the number of nodes. `faulty` maps indices to kinds. Until `calm_ms`
    messages are lost, doubled and delayed, and nodes crash; `crash_chance` is that of a crash
    right after a vote reached the disk. From then on each message arrives within
    `calm_delay_ms`, and all correct nodes must have `heights` blocks by `deadline_ms`.
    `relay` says whether nodes pass on what they hear.
    """

    seed: int
    powers: tuple[int, ...]
    faulty: tuple[tuple[int, str], ...] = ()
    heights: int = 2
    loss: float = 0.0
    duplication: float = 0.0
    delay_ms: int = 20
    cuts: tuple[LinkCut, ...] = ()
    crashes: tuple[NodeCrash, ...] = ()
    crash_chance: float = 0.0
    relay: bool = True
    propose_ms: int = 400
    vote_ms: int = 200
    resend_ms: int = 500
    calm_ms: int = 0
    calm_delay_ms: int = 20
    deadline_ms: int = 120_000

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} at {index}" for index, kind in self.faulty) or "nobody faulty"
        return f"seed {self.seed}: {len(self.powers)} validators, {kinds}"


def draw_scenario(seed: int, nodes: int = 4, faulty: int = 1, heights: int = 2) -> Scenario:
    """The scenario with this number; with the defaults one of four validators is faulty.

    The faulty ones together hold less than a third of the power as long as `faulty` is less
    than a third of `nodes`.
    """
    rng = Random(seed)
    calm_ms = rng.choice((2_000, 5_000, 10_000))
    kinds = [rng.choice(FAULT_KINDS) for _ in range(faulty)]
    liars = rng.sample(range(nodes), faulty)
    return Scenario(
        seed=seed,
        powers=_powers(rng, nodes, liars),
        faulty=tuple(sorted(zip(liars, kinds, strict=True))),
        heights=heights,
        loss=rng.choice((0.0, 0.1, 0.3, 0.6)),
        duplication=rng.choice((0.0, 0.1, 0.3)),
        delay_ms=rng.choice((20, 100, 400)),
        cuts=_cuts(rng, nodes, liars, calm_ms),
        crashes=_crashes(rng, nodes, calm_ms),
        crash_chance=rng.choice((0.0, 0.0, 0.02, 0.1)),
        relay=rng.random() < 0.3,
        propose_ms=rng.choice((100, 400)),
        vote_ms=rng.choice((20, 200)),
        resend_ms=rng.choice((500, 1_500, 4_000)),
        calm_ms=calm_ms,
        deadline_ms=calm_ms + 60_000,
    )


def _powers(rng: Random, nodes: int, liars: list[int]) -> tuple[int, ...]:
    """Equal powers, or unequal ones among which the liars have the least."""
    if rng.random() < 0.5:
        return (100,) * nodes
    drawn = sorted(rng.randrange(80, 160) for _ in range(nodes))
    weak = [drawn.pop(0) for _ in liars]
    rng.shuffle(drawn)
    return tuple(weak.pop() if index in liars else drawn.pop() for index in range(nodes))


def _cuts(rng: Random, nodes: int, liars: list[int], calm_ms: int) -> tuple[LinkCut, ...]:
    """Partitions, the deaf and the mute; in half of the runs the liars reach everybody."""
    concerned = [i for i in range(nodes) if rng.random() < 0.3 or i not in liars]
    cuts: list[LinkCut] = []
    for _ in range(rng.randrange(1, 6)):
        start = _early(rng, calm_ms)
        end = rng.randrange(start, calm_ms + 1)
        few = rng.sample(concerned, rng.randrange(1, len(concerned)))
        one, other = frozenset(few), frozenset(concerned) - frozenset(few)
        how = rng.choice(("apart", "deaf", "mute"))
        if how != "deaf":
            cuts.append(LinkCut(start, end, one, other))
        if how != "mute":
            cuts.append(LinkCut(start, end, other, one))
    return tuple(cuts)


def _crashes(rng: Random, nodes: int, calm_ms: int) -> tuple[NodeCrash, ...]:
    """A few crashes of single nodes, and sometimes all at once."""
    some = [rng.randrange(nodes) for _ in range(rng.randrange(4))]
    crashes = [NodeCrash(node, _early(rng, calm_ms), rng.randrange(3_000)) for node in some]
    if rng.random() < 0.2:
        blackout = _early(rng, calm_ms)
        crashes += [NodeCrash(node, blackout, rng.randrange(500)) for node in range(nodes)]
    return tuple(crashes)


def _early(rng: Random, calm_ms: int) -> int:
    """A time at which something is likely to go on."""
    return rng.randrange(min(calm_ms, 2_000) + 1)
