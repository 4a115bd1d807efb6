"""What a run of the arena is about, and what is counted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.testing.campaign_simulation.proposer_policy import ProposerPolicy
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.consensus_simulation.simulated_node import CHAIN_ID
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MiningStrategy
from fedcoin.v1 import genesis_pb2, task_pb2

FDC = 100_000_000
BOND = 10 * FDC
BALANCE = 1_000 * FDC
GENESIS_MS = 1_700_000_000_000
FIXED_DIFFICULTY = dict.fromkeys(
    ("initial_difficulty_nano", "min_difficulty_nano", "max_difficulty_nano"), 30_000_000
)
"""Computing takes no virtual time here, so D is held where it is."""


@dataclass
class CampaignSetting:
    """One run: a validator for each strategy, clients of a game, and so many rounds."""

    strategies: Sequence[MiningStrategy] = (HONEST_STRATEGY,) * 4
    proposing: Mapping[int, ProposerPolicy] = field(default_factory=dict)
    faulty: Mapping[int, str] = field(default_factory=dict)
    """Validators that break the voting, by ``simulation.scenario.KINDS``; not the first."""
    powers: Sequence[int] = ()
    game: SaturatingGame = field(default_factory=lambda: SaturatingGame(5))
    rounds: int = 100
    schedule: int = task_pb2.SCHEDULE_PERMUTATION
    max_samples: int = 200
    reward: int = task_pb2.MINING_REWARD_WINNER
    commit_window_ms: int = 10_000
    reveal_window_ms: int = 10_000
    resend_ms: int = 500
    speed: float | None = None
    """Coalitions that a miner computes in a second; None: no time passes."""
    faster: Callable[[int], float] = lambda round: 1.0
    """How many times faster everybody is in a round."""
    seed: int = 1
    parameters: Mapping[str, int] = field(default_factory=lambda: FIXED_DIFFICULTY)


@dataclass
class MinerTally:
    """What came of one miner; coins in sap."""

    wins: int = 0
    rewards: int = 0
    burned: int = 0
    evaluations: int = 0
    revealed: int = 0
    bond_burned: int = 0
    reported: int = 0
    """What it got for reporting others."""
    slashed_height: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    """Of its commitments, openings and reveals, how many were left out of so many final blocks
    that could have held them."""


@dataclass
class SettledTask:
    """One settled task."""

    winner: bytes
    mean_shapley_nano: tuple[int, ...]
    opened_height: int
    closed_height: int
    opened_ms: int
    closed_ms: int
    attempts: int


def make_study_genesis(
    powers: Sequence[int], parameters: Mapping[str, int], server: bytes
) -> Genesis:
    """Validators with these bonds, and a server (an address) that can pay for a lot."""
    keys = [validator_key(i) for i in range(len(powers))]
    owners = {key.address: BALANCE for key in keys} | {server: 100_000 * FDC}
    message = genesis_pb2.Genesis(
        chain_id=CHAIN_ID,
        time_ms=GENESIS_MS,
        parameters=genesis_pb2.Parameters(**dict(parameters)),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(address), balance=balance)
            for address, balance in owners.items()
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=key.public_key.hex(), bond=bond)
            for key, bond in zip(keys, powers, strict=True)
        ],
    )
    return parse_genesis(render_genesis(message))
