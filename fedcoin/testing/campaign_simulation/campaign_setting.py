"""The setting of one run of a simulated campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.testing.campaign_simulation.proposer_policy import ProposerPolicy
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.consensus_simulation.block_application import CHAIN_ID
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MiningStrategy
from fedcoin.v1 import genesis_pb2, task_pb2

BOND = 10 * SAP_PER_FDC
"""Each validator's bond by default, in sap."""
BALANCE = 1_000 * SAP_PER_FDC
"""Each validator's bond and free balance at genesis, in sap."""

COORDINATOR_BALANCE = 100_000 * SAP_PER_FDC
"""The coordinator's balance, in sap."""

GENESIS_MS = 1_700_000_000_000
"""The genesis' time, Unix ms; virtual time counts from here."""

FIXED_DIFFICULTY = dict.fromkeys(
    ("initial_difficulty_nano", "min_difficulty_nano", "max_difficulty_nano"), 30_000_000
)
"""Parameters that keep D at 0.03. Without a `speed`, computing takes no virtual time, so that an
adjusted D would fall to its minimum."""


@dataclass
class CampaignSetting:
    """The settings of one run. Indices are those of validators, each of which is a miner."""

    # The mining strategy of each validator.
    strategies: Sequence[MiningStrategy] = (HONEST_STRATEGY,) * 4
    # How validators propose that do not propose honestly, by index.
    proposing: Mapping[int, ProposerPolicy] = field(default_factory=dict)
    # Validators that break the voting, by index: one of `scenario.FAULT_KINDS`; never validator 0.
    faulty: Mapping[int, str] = field(default_factory=dict)
    # The bonds in sap; empty: `BOND` for each.
    powers: Sequence[int] = ()
    # The utility function: right answers of coalitions of the clients.
    game: SaturatingGame = field(default_factory=lambda: SaturatingGame(5))
    # The number of rounds of the campaign.
    rounds: int = 100
    # A value of the enum Schedule.
    schedule: int = task_pb2.SCHEDULE_PERMUTATION
    # How many samples a miner may claim; not used under EXACT.
    max_samples: int = 200
    # A value of the enum MiningReward.
    reward: int = task_pb2.MINING_REWARD_WINNER
    # The windows of each task, and how often nodes repeat their messages, in virtual ms.
    commit_window_ms: int = 10_000
    reveal_window_ms: int = 10_000
    resend_ms: int = 500
    # How many coalitions a miner evaluates in a second; None: evaluating takes no time.
    speed: float | None = None
    # By how much `speed` is multiplied, by round.
    speedup: Callable[[int], float] = lambda round: 1.0
    # The seed of all randomness in the run, as of `Scenario`.
    seed: int = 1
    # Parameters of the genesis that differ from the defaults.
    parameters: Mapping[str, int] = field(default_factory=lambda: FIXED_DIFFICULTY)


def make_study_genesis(
    powers: Sequence[int], parameters: Mapping[str, int], coordinator: bytes
) -> Genesis:
    """Make the genesis of a simulated network.

    Args:
        powers: The bond of each validator, in sap.
        parameters: Parameters that differ from the defaults; `min_bond` is 1 FDC.
        coordinator: The coordinator's address, 20 bytes.

    Returns:
        A genesis whose validators have the keys of `validator_key`.
    """
    keys = [validator_key(i) for i in range(len(powers))]
    balances = {key.address: BALANCE for key in keys} | {coordinator: COORDINATOR_BALANCE}
    message = genesis_pb2.Genesis(
        chain_id=CHAIN_ID,
        time_ms=GENESIS_MS,
        parameters=genesis_pb2.Parameters(**{"min_bond": SAP_PER_FDC, **parameters}),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(address), balance=balance)
            for address, balance in balances.items()
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=key.public_key.hex(), bond=bond)
            for key, bond in zip(keys, powers, strict=True)
        ],
    )
    return parse_genesis(render_genesis(message))
