"""Draw from a seed everything that goes wrong in one run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from fedcoin.testing.consensus_simulation.local_facts import (
    CLAIM_KINDS,
    Blindness,
    LocalFacts,
    make_claim,
)

_NEVER_MS = 1 << 40

FAULT_KINDS = (
    "equivocator",
    "withholder",
    "nil-voter",
    "random-voter",
    "lock-splitter",
    "flooder",
    "forgetful",
    "every-block-voter",
    "decision-splitter",
    "two-faced",
    "misnaming-proposer",
    "forger",
    "audit-splitter",
)
"""The kinds of faulty validators; `byzantine_nodes.BYZANTINE_NODES` has a class for each."""


@dataclass(frozen=True, slots=True)
class LinkCut:
    """An interval in which no packet gets from some nodes to some others. Times are virtual ms."""

    # The first moment, and the first one after the interval.
    start_ms: int
    end_ms: int
    # Indices of nodes.
    senders: frozenset[int]
    receivers: frozenset[int]


@dataclass(frozen=True, slots=True)
class NodeCrash:
    """A node loses its memory at `at_ms` and starts again after `down_ms`. Times are virtual ms."""

    # The node's index.
    node: int
    at_ms: int
    down_ms: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Times are virtual ms; probabilities are from 0 to 1."""

    # The seed of all randomness in the run.
    seed: int
    # The voting power of each node; as many as there are nodes.
    powers: tuple[int, ...]
    # Index and kind (see `FAULT_KINDS`) of each faulty node.
    faulty: tuple[tuple[int, str], ...] = ()
    # What each node sees otherwise than the others; nodes without an entry see what is true.
    facts: tuple[LocalFacts, ...] = ()
    # Claims that wait for a block, in the order in which nodes include them.
    claims: tuple[bytes, ...] = ()
    # How many nodes without power import final blocks during the run. As many others start when
    # the run is over, and import the whole chain of a validator.
    followers: int = 0
    # The height that all correct nodes must reach by `deadline_ms`.
    heights: int = 2
    # Until `calm_ms` packets are lost and duplicated with these probabilities, delayed by up to
    # `delay_ms`, and cut off; nodes crash as scheduled, and with `crash_chance` right after a vote
    # reached the disk.
    loss: float = 0.0
    duplication: float = 0.0
    delay_ms: int = 20
    cuts: tuple[LinkCut, ...] = ()
    crashes: tuple[NodeCrash, ...] = ()
    crash_chance: float = 0.0
    # Whether nodes relay other nodes' messages.
    relay: bool = True
    # The engines' timeouts for proposals and for votes.
    propose_ms: int = 400
    vote_ms: int = 200
    # The mean time after which a node resends all its messages of the height; each wait is drawn
    # between half and one and a half of it.
    resend_ms: int = 500
    # From `calm_ms` on, every packet arrives within `calm_delay_ms`, and no node crashes.
    calm_ms: int = 0
    calm_delay_ms: int = 20
    # The end of the run, by which `heights` must be reached.
    deadline_ms: int = 120_000

    def facts_of(self, index: int) -> LocalFacts:
        """Look up what a node sees.

        Args:
            index: The node's index.

        Returns:
            Its facts.
        """
        return self.facts[index] if index < len(self.facts) else LocalFacts(index)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} at {index}" for index, kind in self.faulty) or "no faulty node"
        return f"seed {self.seed}: {len(self.powers)} validators, {kinds}"


def draw_scenario(seed: int, nodes: int = 4, faulty: int = 1, heights: int = 2) -> Scenario:
    """Draw a scenario.

    Args:
        seed: The seed from which the delays, faults and powers are drawn.
        nodes: The number of validators.
        faulty: The number of faulty validators. If this is less than a third of `nodes`, they hold
            less than a third of the power.
        heights: The height that all correct nodes must reach.

    Returns:
        The scenario, which depends on the arguments alone.
    """
    rng = Random(seed)
    calm_ms = rng.choice((2_000, 5_000, 10_000))
    kinds = [rng.choice(FAULT_KINDS) for _ in range(faulty)]
    faulty_nodes = rng.sample(range(nodes), faulty)
    facts_rng = Random(seed + 1_000_000_007)
    return Scenario(
        seed=seed,
        powers=_draw_powers(rng, nodes, faulty_nodes),
        faulty=tuple(sorted(zip(faulty_nodes, kinds, strict=True))),
        facts=_draw_facts(facts_rng, nodes, calm_ms),
        claims=_draw_claims(facts_rng),
        followers=1,
        heights=heights,
        loss=rng.choice((0.0, 0.1, 0.3, 0.6)),
        duplication=rng.choice((0.0, 0.1, 0.3)),
        delay_ms=rng.choice((20, 100, 400)),
        cuts=_draw_cuts(rng, nodes, faulty_nodes, calm_ms),
        crashes=_draw_crashes(rng, nodes, calm_ms),
        crash_chance=rng.choice((0.0, 0.0, 0.02, 0.1)),
        relay=rng.random() < 0.3,
        propose_ms=rng.choice((100, 400)),
        vote_ms=rng.choice((20, 200)),
        resend_ms=rng.choice((500, 1_500, 4_000)),
        calm_ms=calm_ms,
        deadline_ms=calm_ms + 60_000,
    )


def _draw_powers(rng: Random, nodes: int, faulty_nodes: list[int]) -> tuple[int, ...]:
    """Draw equal powers, or unequal ones of which the faulty nodes have the smallest."""
    if rng.random() < 0.5:
        return (100,) * nodes
    powers = sorted(rng.randrange(80, 160) for _ in range(nodes))
    smallest = [powers.pop(0) for _ in faulty_nodes]
    rng.shuffle(powers)
    return tuple(smallest.pop() if i in faulty_nodes else powers.pop() for i in range(nodes))


def _draw_facts(rng: Random, nodes: int, calm_ms: int) -> tuple[LocalFacts, ...]:
    """Draw wrong clocks, slow audits, workers that die for a while, and disks that stay full."""
    skew_ms, audit_ms = rng.choice((0, 90, 400)), rng.choice((0, 50, 1_500))
    facts = []
    for index in range(nodes):
        blind = [_draw_blindness(rng, calm_ms) for _ in range(rng.randrange(3))]
        if rng.random() < 0.2:
            blind.append(Blindness(rng.randrange(calm_ms), _NEVER_MS))
        skew = rng.randint(-skew_ms, skew_ms)
        facts.append(LocalFacts(index, skew, tuple(blind), audit_ms))
    return tuple(facts)


def _draw_blindness(rng: Random, calm_ms: int) -> Blindness:
    start = rng.randrange(calm_ms)
    return Blindness(start, start + rng.randrange(1, calm_ms))


def _draw_claims(rng: Random) -> tuple[bytes, ...]:
    """Draw up to eight claims on whose soundness nodes may differ."""
    kinds = [rng.choice(CLAIM_KINDS) for _ in range(rng.randrange(9))]
    return tuple(make_claim(kind, number) for number, kind in enumerate(kinds))


def _draw_cuts(
    rng: Random, nodes: int, faulty_nodes: list[int], calm_ms: int
) -> tuple[LinkCut, ...]:
    """Draw cuts between two groups, in one direction or both; some faulty nodes are never cut."""
    affected = [i for i in range(nodes) if rng.random() < 0.3 or i not in faulty_nodes]
    cuts: list[LinkCut] = []
    for _ in range(rng.randrange(1, 6)):
        start = _draw_early_time(rng, calm_ms)
        end = rng.randrange(start, calm_ms + 1)
        group = rng.sample(affected, rng.randrange(1, len(affected)))
        one, other = frozenset(group), frozenset(affected) - frozenset(group)
        direction = rng.choice(("both", "to-group", "from-group"))
        if direction != "to-group":
            cuts.append(LinkCut(start, end, one, other))
        if direction != "from-group":
            cuts.append(LinkCut(start, end, other, one))
    return tuple(cuts)


def _draw_crashes(rng: Random, nodes: int, calm_ms: int) -> tuple[NodeCrash, ...]:
    """Draw a few crashes of single nodes, and sometimes one of all nodes at once."""
    chosen = [rng.randrange(nodes) for _ in range(rng.randrange(4))]
    crashes = [
        NodeCrash(node, _draw_early_time(rng, calm_ms), rng.randrange(3_000)) for node in chosen
    ]
    if rng.random() < 0.2:
        at_ms = _draw_early_time(rng, calm_ms)
        crashes += [NodeCrash(node, at_ms, rng.randrange(500)) for node in range(nodes)]
    return tuple(crashes)


def _draw_early_time(rng: Random, calm_ms: int) -> int:
    """Draw a time at which the first heights are likely to be decided."""
    return rng.randrange(min(calm_ms, 2_000) + 1)
