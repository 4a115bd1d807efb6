"""`fedcoin-node status`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import example, home_option, json_option, node_option
from fedcoin.application.cli.shared.output import (
    as_plain,
    coins,
    moment,
    note,
    print_fields,
    print_json,
    size,
)
from fedcoin.application.cli.shared.waiting import (
    certificate_warning,
    power_shortage,
    sync_progress,
)
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home
from fedcoin.data.clock import unix_ms
from fedcoin.data.plurals import format_count
from fedcoin.v1.node_service_pb2 import GetStatusResponse


@click.command(epilog=example("fedcoin-node status", "fedcoin-node status --node 10.0.0.5:7051"))
@home_option
@node_option
@json_option
@watch_option
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
            "dialled at": reply.peer_address,
            "role": ", ".join(roles) or "observer",
            "height": f"{reply.height}{since}{sync_progress(reply)}",
            "block": reply.block_hash,
            "app hash": reply.app_hash,
            "block time": moment(reply.block_time_ms),
            "peers": reply.peers,
            "power": f"{coins(reply.connected_power)} of {coins(reply.total_power)} connected",
            "clock": _clock(reply),
            "last vote": _last_vote(reply),
            "pending": format_count(reply.pending_transactions, "transaction"),
            "supply": f"{coins(reply.supply)}, burned {coins(reply.burned)}, "
            + ("conserved" if conserved else f"but counted {coins(reply.counted_supply)}"),
            "memory": size(reply.rss_bytes),
            "sandbox": reply.worker_sandbox,
            **({"TLS until": moment(reply.tls_expiry_ms)} if reply.tls_expiry_ms else {}),
            "started in": f"{reply.start_ms / 1000:.2f} s",
        }
    )
    if reply.vote_overdue:
        note("Warning: this validator owes a vote and casts none: its log says why")
    shortage = power_shortage(reply)
    if shortage:
        note(f"Warning: transactions wait: {shortage}")
    expiry = certificate_warning(reply, unix_ms())
    if expiry:
        note(f"Warning: {expiry}: renew it with `fedcoin-node tls renew`")


def _last_vote(reply: GetStatusResponse) -> str:
    if not reply.last_vote_ms:
        return "none since the start"
    overdue = ", another is overdue" if reply.vote_overdue else ""
    return f"at height {reply.last_vote_height}, {moment(reply.last_vote_ms)}{overdue}"


def _clock(reply: GetStatusResponse) -> str:
    if not reply.HasField("clock_difference_ms"):
        return "no peer has told its time"
    ahead_ms = reply.clock_difference_ms
    where = "behind" if ahead_ms > 0 else "ahead of"
    return f"{abs(ahead_ms) / 1000:.3f} s {where} the median of its peers"
