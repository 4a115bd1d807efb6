"""The options of `train client` for differential privacy, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.configuration.home import Home

if TYPE_CHECKING:
    from fedcoin.application.client.privacy_ledger import PrivacyLedger
    from fedcoin.learning.training.private_sgd import PrivacySettings


def privacy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--clip`, `--noise-multiplier`, `--delta` and `--claim-privacy` to a command.

    Args:
        command: The command's function.

    Returns:
        The function with the options.
    """
    options = (
        click.option(
            "--clip",
            type=click.FloatRange(1e-6, 1e9),
            metavar="NORM",
            help="Train with differential privacy: shorten each example's gradient to this norm. "
            "See docs/PRIVACY.md.",
        ),
        click.option(
            "--noise-multiplier",
            type=click.FloatRange(1e-6, 1e6),
            metavar="X",
            help="With --clip: add noise with X times that norm as standard deviation to each "
            "step.",
        ),
        click.option(
            "--delta",
            type=click.FloatRange(1e-12, 1, max_open=True),
            help="The delta for which epsilon is computed [1e-05].",
        ),
        click.option(
            "--claim-privacy",
            is_flag=True,
            help="With --command: the program trains with differential privacy and writes how, for "
            "the claim that is signed. See docs/PRIVACY.md.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def privacy_of(
    clip: float | None, noise_multiplier: float | None, delta: float | None, claimed: bool
) -> PrivacySettings | None:
    """Collect what the built-in trainer is asked for.

    Args:
        clip: The value of `--clip`.
        noise_multiplier: The value of `--noise-multiplier`.
        delta: The value of `--delta`.
        claimed: Whether `--claim-privacy` was given.

    Returns:
        Clipping and noise; None without them.

    Raises:
        click.UsageError: Options that belong together were not given together.
    """
    from fedcoin.learning.training.private_sgd import PrivacySettings

    if clip is None and noise_multiplier is None:
        if delta is not None and not claimed:
            raise click.UsageError(
                "--delta is for --clip and --noise-multiplier, or for --claim-privacy."
            )
        return None
    if clip is None or noise_multiplier is None:
        raise click.UsageError("Give both --clip and --noise-multiplier, or none of them.")
    return PrivacySettings(clip, noise_multiplier)


def open_ledger(home: Home, delta: float | None) -> PrivacyLedger:
    """Open the ledger of a home's client.

    Args:
        home: The client's home.
        delta: The value of `--delta`; None for the default.

    Returns:
        The ledger in `privacy.json`.

    Raises:
        RefusalError: MISSING_PACKAGE when dp-accounting is not installed; BAD_STATE when the ledger
            is damaged.
    """
    from fedcoin.application.client.privacy_ledger import DEFAULT_DELTA, PrivacyLedger

    return PrivacyLedger(home.root / "privacy.json", delta or DEFAULT_DELTA)
