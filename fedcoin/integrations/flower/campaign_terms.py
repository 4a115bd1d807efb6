"""The settings of the campaign behind a paid Flower federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fedcoin.application.configuration.config_sources import assemble
from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

UNUSED: Final = frozenset(
    {
        "enabled", "listen", "key", "clients", "join_seconds", "round_seconds",
        "epochs", "batch_size", "learning_rate", "seed", "initial_weights",
    }
)  # fmt: skip
"""Settings of a coordinator that Flower decides in its place."""


def read_terms_of_campaign(campaign: Mapping[str, object]) -> CoordinatorConfig:
    """Read the settings of a campaign.

    Args:
        campaign: Settings of the table `[coordinator]` by name, such as `budget`.

    Returns:
        The settings. Without `receipt_seconds` the campaign has no receipts: clients need
            `keep_receipts` to get them.

    Raises:
        RefusalError: BAD_CONFIG for a wrong value, and for a setting that Flower decides;
            UNKNOWN_SETTING for a name that does not exist.
    """
    unused = sorted(UNUSED & set(campaign))
    if unused:
        raise RefusalError(
            ApplicationCode.BAD_CONFIG,
            f"the campaign sets {', '.join(unused)}, which has no effect here: Flower decides when"
            " clients train, how, and from which weights; leave it out",
            field=f"campaign.{unused[0]}",
        )
    settings = {"receipt_seconds": 0, **campaign}
    seconds = settings["receipt_seconds"]
    if isinstance(seconds, (int, float)) and seconds:
        # Bounds the receipts' window from below; how long clients train is Flower's to decide.
        settings["round_seconds"] = min(seconds / 2, CoordinatorConfig().round_seconds)
    return assemble({f"coordinator.{name}": value for name, value in settings.items()}).coordinator


def one_round_of(config: CoordinatorConfig) -> CoordinatorConfig:
    """Return the settings of one round's campaign, where each round has one of its own.

    Args:
        config: The settings of all rounds together.

    Returns:
        The settings with one round, and an equal part of the budget.
    """
    return replace(config, rounds=1, budget=config.budget // config.rounds)
