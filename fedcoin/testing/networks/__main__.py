"""Run test networks: `python -m fedcoin.testing.networks [--seed N --count M] [FILE...]`."""

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
from fedcoin.testing.networks.random_networks import draw_network, render_plan


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--seed", type=click.IntRange(0), help="Also draw networks, from this seed on.")
@click.option(
    "--count", type=click.IntRange(1), default=1, show_default=True, help="How many to draw."
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep all homes and logs here [a temporary folder, for networks with faults].",
)
@click.option(
    "--failing",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/networks"),
    show_default=True,
    help="Write drawn networks with faults here, as files.",
)
def networks(
    files: tuple[Path, ...], seed: int | None, count: int, keep: Path | None, failing: Path
) -> int:
    """Run the test network of each FILE as real processes, and check all its nodes.

    Kills, pauses, partitions and other faults happen at their times, while transfers and tasks go
    on. Afterwards all honest nodes must have the same blocks and the same state, all coins, and
    every transfer that a node called final. The exit code is 1 when a check fails.
    """
    if not files and seed is None:
        raise click.UsageError("name at least one FILE, such as tests/networks/kills.toml.")
    drawn = [] if seed is None else [draw_network(one) for one in range(seed, seed + count)]
    plans = [*(read_plan(path) for path in files), *drawn]
    root = keep or Path(tempfile.mkdtemp(prefix="fedcoin-networks-"))
    failed = [plan for plan in plans if not _is_well(plan, root / plan.name, keep is not None)]
    for plan in failed:
        if plan in drawn:
            failing.mkdir(parents=True, exist_ok=True)
            path = failing / f"{plan.name}.toml"
            path.write_text(render_plan(plan), encoding="utf-8")
            click.echo(f"{path} describes {plan.name}", err=True)
    if failed:
        names = ", ".join(plan.name for plan in failed)
        click.echo(f"with faults: {names}; homes and logs are in {root}", err=True)
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
