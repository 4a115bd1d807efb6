"""`fedcoin-node block`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.id_prefixes import HASH_PREFIX
from fedcoin.application.cli.shared.ledger_output import print_payments
from fedcoin.application.cli.shared.options import (
    Parsed,
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import (
    as_plain,
    moment,
    nano,
    print_fields,
    print_json,
    print_table,
)
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count


def _parse_block(value: str) -> int | str:
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    found: str = HASH_PREFIX.parse(value)
    return found


BLOCK = Parsed("height or hash", _parse_block)
"""Reads an int for up to 19 decimal digits, a height; else the first digits of a hash, a str."""


@click.command(
    epilog=example("fedcoin-node block", "fedcoin-node block 12", "fedcoin-node block 12 --json")
)
@click.argument("which", type=BLOCK, required=False, metavar="[HEIGHT|HASH]")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="How many blocks are shown without HEIGHT.",
)
@home_option
@node_option
@json_option
@watch_option
def block(which: int | str | None, limit: int, home: Home, node: str | None, as_json: bool) -> None:
    """Show one block and what it paid; without HEIGHT, the latest ones.

    The first 8 digits of a hash are enough, unless all are decimal: those are a height.
    """
    if which is None:
        _latest_blocks(home, node, limit, as_json)
        return
    reply = ask(home, node, lambda client: client.get_block(which))
    if as_json:
        print_json(as_plain(reply))
        return
    view = reply.block
    fields: dict[str, object] = {
        "height": view.height,
        "hash": view.hash,
        "parent": view.parent_hash,
        "time": moment(view.time_ms),
        "proposer": view.proposer,
        "app hash": view.app_hash,
        "signed by": f"{format_count(len(view.signers), 'validator')} in round "
        f"{view.certificate_round}",
        "transactions": len(view.transactions),
    }
    if view.HasField("settlement"):
        fields["settles"] = view.settlement.task_id
        fields["winner"] = view.settlement.winner
        fields["difficulty"] = nano(view.settlement.difficulty_nano)
    print_fields(fields)
    for hash_ in view.transactions:
        click.echo(f"  {hash_}")
    if reply.payments:
        click.echo()
        print_payments(reply.payments)


def _latest_blocks(home: Home, node: str | None, limit: int, as_json: bool) -> None:
    found = ask(home, node, lambda client: client.list_blocks(limit))
    if as_json:
        print_json([as_plain(view) for view in found])
        return
    print_table(
        ("HEIGHT", "TIME", "PROPOSER", "TXS", "SETTLES", "HASH"),
        [
            (
                view.height,
                moment(view.time_ms),
                view.proposer,
                len(view.transactions),
                f"{view.settlement.task_id[:12]}…" if view.HasField("settlement") else "",
                f"{view.hash[:16]}…",
            )
            for view in found
        ],
        right="r  r",
    )
