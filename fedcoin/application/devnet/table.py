"""A devnet's result for a person at a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from fedcoin.application.devnet.result import DevnetResult, NodeResult, RoundResult
from fedcoin.data.messages.amounts import SAP_PER_FDC

COLOURS = {"honest": "default", "mislabelled": "yellow", "free rider": "bright_black"}
PLAIN_WIDTH = 110


def print_result(result: DevnetResult) -> None:
    """Tables on standard output."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    for turn in result.rounds:
        console.print(round_table(turn))
    console.print(miners_table(result))
    accuracy = ", ".join(f"{100 * turn.accuracy:.1f} %" for turn in result.rounds)
    console.print(f"Accuracy by round: {accuracy}")
    agreement = "agree on" if result.agreed else "DO NOT AGREE on"
    console.print(f"All {len(result.nodes)} miners {agreement} the state.")
    before, after = coins(result.supply_before), coins(result.supply_after)
    kept = "conserved" if result.conserved else "NOT CONSERVED"
    console.print(f"Supply: {before} before, {after} after: {kept}.")
    console.print(f"Done in {result.elapsed_seconds:.1f} s.")


def round_table(turn: RoundResult) -> Table:
    """Who was paid what in a round, and why."""
    winner = next((m for m in turn.miners if m.address == turn.winner), None)
    table = Table(
        title=f"Round {turn.round}: accuracy {100 * turn.accuracy:.1f} %",
        caption=f"winner {turn.winner}, paid {coins(winner.reward if winner else 0)}\n"
        f"{turn.schedule}, {turn.evaluations} coalitions proved by {len(turn.miners)} miners, "
        f"D {turn.difficulty_nano / 1e9:.4f}, settled in {turn.settle_seconds:.2f} s",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Client", no_wrap=True)
    table.add_column("What it is")
    for name in ("Samples", "Shapley value", "Payout"):
        table.add_column(name, justify="right", no_wrap=True)
    for client in turn.clients:
        table.add_row(
            client.address,
            client.role,
            str(client.samples),
            f"{client.shapley_nano / 1e9:+.6f}",
            coins(client.payout),
            style=COLOURS.get(client.role, "default"),
        )
    return table


def miners_table(result: DevnetResult) -> Table:
    """Where every miner's node stands at the end."""
    table = Table(title="Miners", title_justify="left")
    table.add_column("Miner", no_wrap=True)
    table.add_column("Height", justify="right")
    table.add_column("App hash", no_wrap=True)
    table.add_column("Won", justify="right")
    table.add_column("Rewards", justify="right", no_wrap=True)
    lying = any(node.adversary for node in result.nodes)
    if lying:
        table.add_column("What it is")
    for node in result.nodes:
        won = sum(turn.winner == node.address for turn in result.rounds)
        rewards = sum(
            m.reward for t in result.rounds for m in t.miners if m.address == node.address
        )
        row = [node.address, str(node.height), f"{node.app_hash[:16]}…", str(won), coins(rewards)]
        table.add_row(*row, *([what_it_is(node)] if lying else []))
    return table


def what_it_is(node: NodeResult) -> str:
    """How a miner lies, if it does, and whether it was caught at voting twice."""
    return (node.adversary or "honest") + ("" if node.bond else ", slashed")


def coins(sap: int) -> str:
    """An amount with four decimals: for looking, not for adding up."""
    return f"{sap / SAP_PER_FDC:,.4f} FDC"
