"""`fedcoin-node devnet`."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.options import AMOUNT, example
from fedcoin.application.cli.shared.output import note
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.learning.measures.terms import NAMES

if TYPE_CHECKING:
    from fedcoin.application.devnet.results import DevnetResult
    from fedcoin.application.devnet.standing_network import StandingNetwork

MARK = "devnet"
"""A file in each folder that a devnet made. `--force` empties no other folder."""


@click.command(
    epilog=example(
        "fedcoin-node devnet",
        "fedcoin-node devnet --miners 7 --clients 8 --rounds 5 --keep ./net",
        "fedcoin-node devnet --json > result.json",
        "fedcoin-node devnet --miners 1 --clients 2 --rounds 1 --stay --json",
        "fedcoin-node devnet --miners 5 --adversary mean-publisher",
        "fedcoin-node devnet --clients 8 --partition dirichlet:0.3+label-noise:0..0.4",
    )
)
@click.option("--miners", type=int, default=4, show_default=True, help="Nodes that mine and vote.")
@click.option("--clients", type=int, default=5, show_default=True, help="Clients that train.")
@click.option(
    "--training-processes",
    type=int,
    default=0,
    help="Training processes that all clients share. 0: up to 12 clients have a process each; more "
    "share one for each core.",
)
@click.option("--rounds", type=int, default=3, show_default=True, help="Rounds of training.")
@click.option(
    "--epochs",
    type=int,
    default=2,
    show_default=True,
    help="Passes over a client's data in each round.",
)
@click.option(
    "--evaluation-size",
    type=click.IntRange(0),
    default=0,
    help="Test examples that utilities are counted on; 0: all.",
)
@click.option(
    "--utility",
    type=click.Choice(list(NAMES)),
    default="accuracy",
    show_default=True,
    help="What models are measured by.",
)
@click.option(
    "--dataset",
    default="digits",
    show_default=True,
    metavar="digits|mnist|PATH",
    help="The data set; mnist is the file that FEDCOIN_MNIST names.",
)
@click.option(
    "--partition",
    metavar="SPEC",
    help="How the data are divided among clients, such as dirichlet:0.3 or labels:2+size:500; all "
    "clients are then honest.",
)
@click.option(
    "--budget",
    type=AMOUNT,
    default="300fdc",
    show_default=True,
    help="The budget of all rounds together.",
)
@click.option(
    "--adversary",
    "adversaries",
    multiple=True,
    metavar="KIND[:COUNT]",
    help="Replace miners by dishonest ones: copier, mean-publisher, inflated-count, "
    "invented-vector, partial-forger, withholder, censor, equivocator, and more (docs/THREATS.md "
    "lists them, and so does the error for an unknown one). Repeatable.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Seed of keys, data shares and weights."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Work in this folder, and keep homes, logs, result.json and report.html.",
)
@click.option(
    "--explorer/--no-explorer",
    "has_explorer",
    default=True,
    show_default=True,
    help="Show the chain in a browser while the devnet runs; its address is printed.",
)
@click.option(
    "--stay",
    is_flag=True,
    help="Keep the nodes running after the last round, until Ctrl-C, and print their addresses.",
)
@click.option("--force", is_flag=True, help="Empty DIR first, if a devnet made it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def devnet(
    keep: Path | None,
    force: bool,
    as_json: bool,
    stay: bool,
    partition: str | None,
    **asked: Any,
) -> None:
    """Run a whole network on this machine and see it pay.

    Miners, a coordinator and clients run as real processes on loopback, train a model together,
    and settle each round by Proof of Shapley. One client has 60 % of its labels wrong and one
    client returns the base weights unchanged; the others have unequal amounts of data. With
    --partition no client cheats, and clients differ in their data alone. The command succeeds only
    if all miners end in the same state and no coin was made or lost.

    With --stay the network then serves the tests of other programs, until Ctrl-C.
    """
    import asyncio

    from fedcoin.application.devnet.devnet_runner import run_devnet
    from fedcoin.application.devnet.dishonest_miners import parse_adversary
    from fedcoin.application.devnet.plan import DevnetOptions
    from fedcoin.learning.training.partition_spec import parse_partition

    adversaries = tuple(parse_adversary(text) for text in asked.pop("adversaries"))
    options = DevnetOptions(
        **asked,
        adversaries=adversaries,
        partition=None if partition is None else parse_partition(partition),
    )
    options.check()
    # SIGTERM cleans up in the same way as an interrupt from the keyboard.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_presented = False

    def present(result: DevnetResult, network: StandingNetwork) -> None:
        nonlocal is_presented
        is_presented = True
        _show(result, keep, as_json, network)

    with _folder(keep, force) as root, _telling() as tell:
        try:
            result = asyncio.run(run_devnet(options, root, tell, present if stay else None))
        except KeyboardInterrupt:
            if not is_presented:
                raise
            return
    _show(result, keep, as_json)


def _show(
    result: DevnetResult, keep: Path | None, as_json: bool, network: StandingNetwork | None = None
) -> None:
    if as_json:
        import json

        shown = result.to_json() | ({"network": network.to_json()} if network else {})
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    from fedcoin.application.devnet.terminal_tables import print_result

    print_result(result)
    if keep is not None:
        click.echo(f"Report with plots: {keep / 'report.html'}")
    for line in network.lines() if network else ():
        click.echo(line)


@contextmanager
def _folder(keep: Path | None, force: bool) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="fedcoin-devnet-") as made:
            yield Path(made)
        return
    if keep.exists() and any(keep.iterdir()):
        is_ours = (keep / MARK).exists()
        if not force or not is_ours:
            text = (
                f"{keep} is not empty: choose another folder, or --force to empty this one"
                if is_ours
                else f"{keep} is not empty, and no devnet made this folder: choose another one"
            )
            raise RefusalError(ApplicationCode.HOME_EXISTS, text, field="keep")
        shutil.rmtree(keep)
    keep.mkdir(parents=True, exist_ok=True)
    (keep / MARK).write_text("Made by `fedcoin-node devnet`; `--force` empties this folder.\n")
    yield keep


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    started = time.monotonic()
    if not sys.stderr.isatty():
        yield lambda line: note(f"[{time.monotonic() - started:5.1f} s] {line}")
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status("working"):
        yield lambda line: console.print(
            f"[bright_black]{time.monotonic() - started:5.1f} s[/]  {line}"
        )
