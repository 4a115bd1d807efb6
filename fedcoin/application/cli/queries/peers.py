"""`fedcoin-node peers`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import example, home_option, json_option, node_option
from fedcoin.application.cli.shared.output import as_plain, print_json, print_table
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home
from fedcoin.v1.node_service_pb2 import ConnectedPeer


@click.command(epilog=example("fedcoin-node peers --json"))
@home_option
@node_option
@json_option
@watch_option
def peers(home: Home, node: str | None, as_json: bool) -> None:
    """Show the peers of a node, as key@host:port or, where no address is known, by their keys."""
    found = ask(home, node, lambda client: client.list_peers())
    if as_json:
        print_json([as_plain(peer) for peer in found])
        return
    print_table(
        ("PEER", "DIALLED BY", "HEIGHT", "SCORE", "AGENT"),
        [
            (
                peer.address or peer.node_key,
                _dialled_by(peer),
                peer.height,
                peer.score,
                peer.agent,
            )
            for peer in found
        ],
        right="  rr",
    )


def _dialled_by(peer: ConnectedPeer) -> str:
    if peer.outbound and peer.inbound:
        return "both"
    return "us" if peer.outbound else "them"
