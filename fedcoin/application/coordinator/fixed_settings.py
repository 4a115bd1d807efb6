"""The settings that a campaign fixes when it is prepared, and the check of those given later."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Final

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

FIXED: Final = (
    "dataset",
    "input_scale",
    "model",
    "initial_weights",
    "trained",
    "evaluation_size",
    "evaluation_shards",
    "rounds",
    "budget",
    "requester",
    "receipt_seconds",
    "spread",
    "split",
    "reward",
    "training_reward",
    "unit_price",
    "similarity_limit",
    "utility",
    "private",
    "seed",
)
"""The settings that cannot change: they are on the chain, or in the campaign's first artifacts."""


def render_fixed(config: CoordinatorConfig) -> dict[str, str]:
    """Write the settings that a campaign fixes as `config.toml` would have them.

    Args:
        config: The coordinator's settings.

    Returns:
        The TOML of each value, by the setting's name, in the order of `FIXED`.
    """
    kinds = {field.name: field.metadata["kind"] for field in dataclasses.fields(config)}
    return {name: kinds[name].render(getattr(config, name)) for name in FIXED}


def render_others(config: CoordinatorConfig) -> dict[str, str]:
    """Write the settings outside `FIXED` that differ from the defaults, `enabled` apart.

    The campaign's file keeps them, so that a restart without flags uses them again.

    Args:
        config: The coordinator's settings.

    Returns:
        The TOML of each value, by the setting's name.
    """
    default = CoordinatorConfig()
    return {
        entry.name: entry.metadata["kind"].render(getattr(config, entry.name))
        for entry in dataclasses.fields(config)
        if entry.name not in (*FIXED, "enabled")
        and getattr(config, entry.name) != getattr(default, entry.name)
    }


def recall_settings(path: Path, *, new: bool) -> dict[str, str]:
    """Read the settings that a home's campaign was begun with, before it is opened.

    Args:
        path: The campaign's file.
        new: Whether a finished campaign makes way for another one.

    Returns:
        The TOML of each value, by dotted name, such as `coordinator.rounds`. Empty where the home
        has no campaign, where it makes way, and where its file is damaged, which is reported when
        the campaign is opened.
    """
    try:
        content = json.loads(path.read_bytes())
        if new and content["phase"] == CampaignPhase.FINISHED.value:
            return {}
        saved = {**content["settings"], **content["other_settings"]}
        return {f"coordinator.{name}": str(value) for name, value in saved.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def check_fixed(campaign: Campaign, config: CoordinatorConfig) -> None:
    """Check that the fixed settings are those that a saved campaign was prepared with.

    Args:
        campaign: The saved campaign.
        config: The settings that the coordinator is started with.

    Raises:
        RefusalError: OTHER_SETTINGS, which names each setting that differs with both its values.
    """
    given = render_fixed(config)
    changed = [name for name, stored in campaign.settings.items() if given.get(name) != stored]
    if not changed:
        return
    differences = ", ".join(
        f"coordinator.{name} = {campaign.settings[name]} (given: {given.get(name, 'nothing')})"
        for name in changed
    )
    finished = campaign.phase is CampaignPhase.FINISHED
    name = f"campaign {campaign.campaign_id.hex()}" if campaign.campaign_id else "the campaign"
    way_out = (
        "is finished: start with --new-campaign to begin another one"
        if finished
        else "goes on with these alone: start it with the settings that it was begun with"
    )
    raise RefusalError(
        ApplicationCode.OTHER_SETTINGS,
        f"the home's campaign has {differences}; {name} {way_out}",
        field=f"coordinator.{changed[0]}",
        limit=campaign.settings[changed[0]],
    )
