"""Options that set values of `config.toml` for one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from fedcoin.application.cli.shared.options import Parsed


def _parse_setting(value: str) -> tuple[str, str]:
    name, equals, text = value.partition("=")
    if not equals or "." not in name:
        raise ValueError("must be TABLE.NAME=VALUE, such as limits.pool_transactions=100")
    return name, text


SETTING = Parsed("setting", _parse_setting)
"""Reads a tuple of the setting's dotted name and its value as text."""

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    type=SETTING,
    metavar="TABLE.NAME=VALUE",
    help="Any other setting of config.toml. Repeatable.",
)
"""Adds `--set`; the command gets `settings`, a tuple of what `SETTING` reads."""


def flags_of(
    settings: Sequence[tuple[str, str]], given: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, object]:
    """Collect the settings that the flags of the present command set.

    Args:
        settings: The names and values of `--set`.
        given: The command's parameters by name.
        names: The setting, by its dotted name, that each parameter sets.

    Returns:
        The values that were given, by the setting's dotted name.

    Raises:
        click.UsageError: Two flags set the same setting. Neither takes precedence.
    """
    flags: dict[str, object] = {}
    given_by: dict[str, str] = {}
    for parameter in click.get_current_context().command.params:
        value = given.get(parameter.name or "")
        if parameter.name in names and value not in (None, ()):
            flags[names[parameter.name]] = value
            given_by[names[parameter.name]] = parameter.opts[0]
    for name, text in settings:
        if name in flags:
            raise click.UsageError(
                f"{name} is given twice, by {given_by[name]} and by --set: leave one of them out."
            )
        flags[name], given_by[name] = text, "--set"
    return flags
