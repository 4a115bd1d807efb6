"""Validators that vote twice, on the real ledger: who reports them, and what they lose."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.testing.campaign_simulation.campaign_setting import BOND, FDC, CampaignSetting
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY


@dataclass(frozen=True)
class SlashingOutcome:
    """Tasks of one run with some equivocators."""

    validators: int
    equivocators: int
    settled: int
    failed: int
    slashed: int
    """Equivocators whose bond was gone in the end."""
    heights: tuple[int, ...]
    """Of the blocks that took it."""
    bond: float
    """What each had, in FDC."""
    burned: float
    """Of it, what was burned, for each."""
    reported: float
    """What reporters got, for each."""
    honest_slashed: int


def equivocated(tasks: int, validators: int, count: int, *, seed: int = 1) -> SlashingOutcome:
    """The last ``count`` vote for several values in each round, and show each to some."""
    liars = range(validators - count, validators)
    setting = CampaignSetting(
        strategies=(HONEST_STRATEGY,) * validators,
        faulty=dict.fromkeys(liars, "equivocator"),
        rounds=tasks,
        seed=seed,
    )
    arena = CampaignSimulation(setting)
    report = arena.run()
    assert not report.violations, report
    assert arena.nodes[0].ledger.total_supply() == arena.genesis.supply
    guilty = [arena.tallies[i] for i in liars if arena.tallies[i].slashed_height]
    honest = arena.tallies[: validators - count]
    return SlashingOutcome(
        validators=validators,
        equivocators=count,
        settled=len(arena.settled),
        failed=arena.failed,
        slashed=len(guilty),
        heights=tuple(tally.slashed_height for tally in guilty),
        bond=BOND / FDC,
        burned=sum(tally.bond_burned for tally in guilty) / FDC / max(1, count),
        reported=sum(tally.reported for tally in honest) / FDC / max(1, count),
        honest_slashed=sum(tally.slashed_height > 0 for tally in honest),
    )
