"""Commands that read from a node: its status, its peers and its chain."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.connect import ask
from fedcoin.application.cli.options import (
    ADDRESS,
    HASH,
    Parsed,
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.output import (
    as_plain,
    coins,
    moment,
    nano,
    note,
    print_fields,
    print_json,
    print_table,
    size,
)
from fedcoin.application.cli.waiting import power_shortage
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.data.plurals import format_count


def _parse_block(value: str) -> int | str:
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    found: str = HASH.parse(value)
    return found


BLOCK = Parsed("height or hash", _parse_block)


@click.command(epilog=example("fedcoin-node status", "fedcoin-node status --node 10.0.0.5:7051"))
@home_option
@node_option
@json_option
def status(home: Home, node: str | None, as_json: bool) -> None:
    """Show a node: identity, height, peers, memory, and the supply that it counts."""
    reply = ask(home, node, lambda client: client.get_status())
    if as_json:
        print_json(as_plain(reply))
        return
    roles = [
        name for name, is_so in (("validator", reply.validator), ("mining", reply.mining)) if is_so
    ]
    conserved = reply.supply == reply.counted_supply
    since = f", blocks from {reply.first_height} on" if reply.first_height > 1 else ""
    print_fields(
        {
            "chain": reply.chain_id,
            "genesis": reply.genesis_hash,
            "address": reply.address,
            "node key": reply.node_key,
            "role": ", ".join(roles) or "observer",
            "height": f"{reply.height}{since}{' (catching up)' if reply.catching_up else ''}",
            "block": reply.block_hash,
            "app hash": reply.app_hash,
            "block time": moment(reply.block_time_ms),
            "peers": f"{reply.peers}, served on {reply.peer_address}",
            "power": f"{coins(reply.connected_power)} of {coins(reply.total_power)} connected",
            "pending": format_count(reply.pending_transactions, "transaction"),
            "supply": f"{coins(reply.supply)}, burned {coins(reply.burned)}, "
            + ("conserved" if conserved else f"but counted {coins(reply.counted_supply)}"),
            "difficulty": nano(reply.difficulty_nano),
            "memory": size(reply.rss_bytes),
            "started in": f"{reply.start_ms / 1000:.2f} s",
        }
    )
    shortage = power_shortage(reply)
    if shortage:
        note(f"Warning: transactions wait: {shortage}")


@click.command(epilog=example("fedcoin-node peers --json"))
@home_option
@node_option
@json_option
def peers(home: Home, node: str | None, as_json: bool) -> None:
    """Show the peers of a node."""
    found = ask(home, node, lambda client: client.list_peers())
    if as_json:
        print_json([as_plain(peer) for peer in found])
        return
    print_table(
        ("ADDRESS", "NODE KEY", "DIALLED BY", "HEIGHT", "SCORE", "AGENT"),
        [
            (
                peer.address or "-",
                f"{peer.node_key[:16]}…",
                "us" if peer.outbound else "them",
                peer.height,
                peer.score,
                peer.agent,
            )
            for peer in found
        ],
        right="   rr",
    )


@click.command(epilog=example("fedcoin-node validators"))
@home_option
@node_option
@json_option
def validators(home: Home, node: str | None, as_json: bool) -> None:
    """Show the validators of the next block and their voting power."""
    found = ask(home, node, lambda client: client.list_validators())
    if as_json:
        print_json([as_plain(validator) for validator in found])
        return
    total = sum(validator.bond for validator in found)
    print_table(
        ("ADDRESS", "BOND", "POWER", "PROPOSES NEXT"),
        [
            (
                v.address,
                coins(v.bond),
                f"{100 * v.bond / total:.1f} %",
                "yes" if v.next_proposer else "",
            )
            for v in found
        ],
        right=" rr",
    )


@click.command(
    epilog=example("fedcoin-node account", "fedcoin-node account fc1... --node 127.0.0.1:7051")
)
@click.argument("address", type=ADDRESS, required=False)
@click.option(
    "--key",
    "key_name",
    default=NODE_KEY,
    show_default=True,
    metavar="NAME",
    help="The home's key whose address is shown when no address is given.",
)
@home_option
@node_option
@json_option
def account(
    address: bytes | None,
    key_name: str,
    home: Home,
    node: str | None,
    as_json: bool,
) -> None:
    """Show an address: balance, bond and nonce. Without one, the address of the home's key."""
    whose = address if address is not None else home.key_info(key_name).address
    view = ask(home, node, lambda client: client.get_account(whose))
    if as_json:
        print_json(as_plain(view))
        return
    print_fields(
        {
            "address": view.address,
            "balance": coins(view.balance),
            "bond": coins(view.bond),
            "unbonding": coins(view.unbonding),
            "next nonce": view.nonce,
        }
    )


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
def block(which: int | str | None, limit: int, home: Home, node: str | None, as_json: bool) -> None:
    """Show one block and what it paid; without HEIGHT, the latest ones."""
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
        payments_table(reply.payments)


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


def payments_table(payments: Any) -> None:
    """Print the payments of a block or a task.

    Args:
        payments: `PaymentView` messages.
    """
    from fedcoin.application.cli.output import enum_name

    print_table(
        ("PAID FOR", "TO", "AMOUNT", "SHAPLEY VALUE"),
        [
            (
                enum_name(p.DESCRIPTOR.fields_by_name["kind"].enum_type, p.kind).replace("_", " "),
                p.address,
                coins(p.amount),
                nano(p.shapley_nano) if p.shapley_nano else "",
            )
            for p in payments
        ],
        right="  rr",
    )


@click.command(epilog=example("fedcoin-node tx 6b1f...e2"))
@click.argument("hash_", type=HASH, metavar="HASH")
@home_option
@node_option
@json_option
def tx(hash_: str, home: Home, node: str | None, as_json: bool) -> None:
    """Show a transaction: its status and its action.

    While it waits for a block, its sender may replace it (send --replace HASH).
    """
    view = ask(home, node, lambda client: client.get_transaction(hash_))
    if as_json:
        print_json(as_plain(view))
        return
    show_transaction(view)


def show_transaction(view: Any) -> None:
    """Print a transaction.

    Args:
        view: A `TransactionView`.
    """
    from fedcoin.application.cli.output import enum_name

    state = enum_name(view.DESCRIPTOR.fields_by_name["status"].enum_type, view.status)
    fields: dict[str, object] = {"hash": view.hash, "status": state}
    if view.reason:
        fields["reason"] = view.reason
    if view.height:
        fields["block"] = f"{view.height}, transaction {view.index}"
    fields.update(
        {
            "sender": view.sender,
            "nonce": view.nonce,
            "fee": coins(view.fee),
            "expires at": view.expiry_height,
            "action": view.action,
            "details": view.details_json,
        }
    )
    print_fields(fields)
