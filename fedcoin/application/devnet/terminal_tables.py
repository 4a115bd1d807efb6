"""Show a devnet's results as tables in a terminal.

Tables fit 80 columns: narrow terminals show a client's name in place of its address, or addresses
with their middle left out, and no other column is cut. `--json` and `result.json` always hold whole
addresses and exact amounts.
"""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from fedcoin.application.devnet.plan import FREE_RIDER, HONEST, MISLABELLED
from fedcoin.application.devnet.results import DevnetResult, NodeResult, RoundResult
from fedcoin.application.rendering.page_formats import format_fdc
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import NAMES, TERMS

ROLE_STYLES = {HONEST: "default", MISLABELLED: "yellow", FREE_RIDER: "bright_black"}
"""The colour of each role of a client."""

FILE_WIDTH = 110
"""Columns where the output is not a terminal."""

WHOLE_ADDRESS_WIDTH = 110
"""From this many columns on, addresses are shown whole."""


def print_result(result: DevnetResult, console: Console | None = None) -> None:
    """Print a devnet's results: a table for each round and one for the nodes, then a summary.

    Args:
        result: The results of a devnet.
        console: Where to print; by default standard output, in the terminal's width.
    """
    if console is None:
        width = None if sys.stdout.isatty() else FILE_WIDTH
        console = Console(width=width, highlight=False)
    has_whole_addresses = console.width >= WHOLE_ADDRESS_WIDTH
    for round_result in result.rounds:
        console.print(_round_table(round_result, has_whole_addresses))
        if round_result.note:
            console.print(f"Note: {round_result.note}.", style="yellow", markup=False)
    console.print(_miner_table(result, has_whole_addresses))
    if result.rounds:
        terms = TERMS[NAMES[result.rounds[0].measure]]
        values = ", ".join(terms.format_fraction(round.utility) for round in result.rounds)
        title = terms.title[0].upper() + terms.title[1:]
        console.print(f"{title} by round: {values}")
    console.print(_agreement(result))
    before, after = format_fdc(result.supply_before), format_fdc(result.supply_after)
    conserved = "conserved" if result.is_supply_conserved else "NOT CONSERVED"
    console.print(f"Supply: {before} FDC before, {after} FDC after: {conserved}.")
    console.print(f"Done in {result.elapsed_seconds:.1f} s.")


def shorten(text: str) -> str:
    """Leave out the middle of an address or hash.

    Args:
        text: The whole text.

    Returns:
        The first eight and the last five characters with `…` between them; a text of up to 14
        characters as it is.
    """
    return f"{text[:8]}…{text[-5:]}" if len(text) > 14 else text


def _new_table(title: str, caption: str | None = None) -> Table:
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )


def _round_table(result: RoundResult, has_whole_addresses: bool) -> Table:
    """Show each client's Shapley value and payment in a round."""
    show = str if has_whole_addresses else shorten
    rewards = sum(miner.reward for miner in result.miners)
    coalitions = format_count(result.evaluations, "coalition")
    miners = format_count(sum(miner.revealed for miner in result.miners), "miner")
    terms = TERMS[NAMES[result.measure]]
    table = _new_table(
        f"Round {result.round}: {terms.title} {terms.format_fraction(result.utility)}",
        f"winner {show(result.winner)}, miners paid {format_fdc(rewards)} FDC\n"
        f"{result.schedule}, {coalitions} proved by {miners}, "
        f"D {result.difficulty_nano / 1e9:.4f}, settled in {result.settle_seconds:.2f} s",
    )
    table.add_column("Client", no_wrap=True)
    has_names = has_whole_addresses and any(client.name for client in result.clients)
    if has_names:
        table.add_column("Name", no_wrap=True)
    table.add_column("What it is", no_wrap=True)
    for name in ("Samples", "Shapley value", "Payout (FDC)"):
        table.add_column(name, justify="right", no_wrap=True)
    for client in result.clients:
        table.add_row(
            client.address if has_whole_addresses else client.name or shorten(client.address),
            *([client.name] if has_names else []),
            client.role,
            f"{client.samples:,}",
            f"{client.shapley_nano / 1e9:+.6f}",
            format_fdc(client.payout),
            style=ROLE_STYLES.get(client.role, "default"),
        )
    return table


def _miner_table(result: DevnetResult, has_whole_addresses: bool) -> Table:
    """Show each miner's final state and its earnings."""
    show = str if has_whole_addresses else shorten
    table = _new_table("Miners")
    table.add_column("Miner", no_wrap=True)
    table.add_column("Height", justify="right", no_wrap=True)
    table.add_column("App hash", no_wrap=True)
    table.add_column("Won", justify="right", no_wrap=True)
    table.add_column("Rewards (FDC)", justify="right", no_wrap=True)
    has_dishonest = any(node.adversary for node in result.nodes)
    if has_dishonest:
        # Wraps between words on narrow terminals.
        table.add_column("What it is", overflow="fold")
    for node in result.nodes:
        miners = [m for r in result.rounds for m in r.miners if m.address == node.address]
        cells = [
            show(node.address),
            str(node.height),
            node.app_hash[:8],
            str(sum(round.winner == node.address for round in result.rounds)),
            format_fdc(sum(miner.reward for miner in miners)),
        ]
        table.add_row(*cells, *([_describe(node)] if has_dishonest else []))
    return table


def _describe(node: NodeResult) -> str:
    """Name a miner's kind, and say whether it was slashed for voting twice."""
    return (node.adversary or "honest") + ("" if node.bond else ", slashed")


def _agreement(result: DevnetResult) -> str:
    if len(result.nodes) == 1:
        return "The miner is alone: there is no state to compare with its own."
    agree = "agree" if result.has_one_state else "DO NOT AGREE"
    return f"All {len(result.nodes)} miners {agree} on the state."
