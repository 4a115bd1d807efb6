"""`fedcoin-node doctor`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.api_token import token_option
from fedcoin.application.cli.shared.connect import node_client
from fedcoin.application.cli.shared.exit_codes import FAILED
from fedcoin.application.cli.shared.options import example, home_option
from fedcoin.application.cli.shared.output import print_json
from fedcoin.application.configuration.home import Home

if TYPE_CHECKING:
    from fedcoin.application.diagnosis.finding import Finding


@click.command(
    epilog=example("fedcoin-node doctor --home a", "fedcoin-node doctor --home a --json")
)
@home_option
@token_option
@click.option("--skip-worker", is_flag=True, help="Start no worker process (some seconds).")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
def doctor(home: Home, skip_worker: bool, as_json: bool) -> None:
    """Look for what keeps a node from its work, and say what to do.

    Checks the home, its keys, certificates and settings; disk, open files, processors, proxies and
    libraries; ports, peers and the clock; and the worker processes. Works before the first start
    and while the node runs; changes nothing. The exit code is 1 when something is wrong.
    """
    from fedcoin.application.diagnosis.diagnosis import diagnose
    from fedcoin.application.diagnosis.finding import is_healthy

    found = asyncio.run(
        diagnose(home, lambda: node_client(home, None), with_worker=not skip_worker)
    )
    if as_json:
        print_json([_as_plain(finding) for finding in found])
    else:
        _print(found)
    if not is_healthy(found):
        raise click.exceptions.Exit(FAILED)


def _as_plain(finding: Finding) -> dict[str, str]:
    return {
        "subject": finding.subject,
        "level": finding.level.value,
        "text": finding.text,
        "advice": finding.advice,
    }


def _print(found: Sequence[Finding]) -> None:
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        click.echo(f"{finding.level.value:<7}  {finding.subject:<{width}}  {finding.text}")
        if finding.advice:
            click.echo(f"{'':<7}  {'':<{width}}  -> {finding.advice}")
    counts = Counter(finding.level.value for finding in found)
    click.echo(", ".join(f"{counts[level]} {level}" for level in dict.fromkeys(counts)))
