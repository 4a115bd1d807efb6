"""Measure what validators lose that vote twice, and who is paid for reporting them."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.testing.campaign_simulation.campaign_setting import BOND, CampaignSetting
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY


@dataclass(frozen=True)
class SlashingOutcome:
    """A run in which some validators sign contradicting votes. Amounts are in FDC."""

    # The numbers of all validators, and of those that sign contradicting votes.
    validators: int
    equivocators: int
    # The numbers of tasks that were settled, and that failed.
    settled: int
    failed: int
    # How many equivocators lost their bond, and the heights of the blocks that burned the bonds.
    slashed: int
    heights: tuple[int, ...]
    # The bond of each validator.
    bond: float
    # The parts of each equivocator's bond that were burned, and that were paid to the reporter.
    burned: float
    report_reward: float
    # How many honest validators lost their bond.
    honest_slashed: int


def measure_equivocation(
    tasks: int, validators: int, equivocators: int, *, seed: int = 1
) -> SlashingOutcome:
    """Measure what validators lose that send contradicting votes to different peers.

    Args:
        tasks: How many tasks the run has.
        validators: How many validators there are.
        equivocators: How many of these validators equivocate.
        seed: The seed of the simulation.

    Returns:
        The bonds that were lost, and the tasks that were settled.
    """
    faulty = range(validators - equivocators, validators)
    setting = CampaignSetting(
        strategies=(HONEST_STRATEGY,) * validators,
        faulty=dict.fromkeys(faulty, "equivocator"),
        rounds=tasks,
        seed=seed,
    )
    campaign = CampaignSimulation(setting)
    report = campaign.run()
    assert not report.violations, report
    assert campaign.nodes[0].ledger.total_supply() == campaign.genesis.supply
    outcome = campaign.outcome
    slashed = [outcome.tallies[i] for i in faulty if outcome.tallies[i].slashed_height]
    honest = outcome.tallies[: validators - equivocators]
    report_rewards = sum(tally.report_rewards for tally in honest)
    return SlashingOutcome(
        validators=validators,
        equivocators=equivocators,
        settled=len(outcome.settled),
        failed=outcome.num_failed,
        slashed=len(slashed),
        heights=tuple(tally.slashed_height for tally in slashed),
        bond=BOND / SAP_PER_FDC,
        burned=sum(tally.bond_burned for tally in slashed) / SAP_PER_FDC / max(1, equivocators),
        report_reward=report_rewards / SAP_PER_FDC / max(1, equivocators),
        honest_slashed=sum(tally.slashed_height > 0 for tally in honest),
    )
