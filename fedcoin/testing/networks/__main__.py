"""Run test networks: `python -m fedcoin.testing.networks FILE...`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import click

from fedcoin.application.cli.entry import run
from fedcoin.testing.networks.network_plan import NetworkPlan
from fedcoin.testing.networks.network_run import run_network
from fedcoin.testing.networks.plan_parsing import read_plan


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep all homes and logs here [a temporary folder, for networks with faults].",
)
def networks(files: tuple[Path, ...], keep: Path | None) -> int:
    """Run the test network of each FILE as real processes, and check all its nodes.

    Kills, pauses, partitions and other faults happen at their times, while transfers and tasks go
    on. Afterwards all honest nodes must have the same blocks and the same state, all coins, and
    every transfer that a node called final. The exit code is 1 when a check fails.
    """
    if not files:
        raise click.UsageError("name at least one FILE, such as tests/networks/kills.toml.")
    plans = [read_plan(path) for path in files]
    root = keep or Path(tempfile.mkdtemp(prefix="fedcoin-networks-"))
    failed = [plan.name for plan in plans if not _is_well(plan, root / plan.name, keep is not None)]
    if failed:
        click.echo(f"with faults: {', '.join(failed)}; homes and logs are in {root}", err=True)
    elif keep is None:
        shutil.rmtree(root)
    return int(bool(failed))


def _is_well(plan: NetworkPlan, folder: Path, keep: bool) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    outcome = asyncio.run(run_network(plan, folder, click.echo))
    click.echo(str(outcome))
    if not outcome.faults and not keep:
        shutil.rmtree(folder)
    return not outcome.faults


if __name__ == "__main__":
    sys.exit(run(command=networks, program="python -m fedcoin.testing.networks"))
