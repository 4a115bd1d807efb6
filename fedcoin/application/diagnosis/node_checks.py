"""Check what a running node says of itself, its peers and its clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.data.plurals import format_count
from fedcoin.v1.node_service_pb2 import ConnectedPeer, GetStatusResponse

WARN_DIFFERENCE_MS: Final = 500
"""Clocks that differ by more than this, in ms, are a warning."""


def check_node(status: GetStatusResponse) -> Iterator[Finding]:
    """Check a node's status.

    Args:
        status: The node's answer to GetStatus.

    Yields:
        A finding about its chain, and one about its votes where it is a validator.
    """
    at = f"height {status.height}"
    if status.catching_up:
        advice = "wait: it fetches blocks from its peers"
        yield Finding("chain", Level.WARNING, f"{at}, behind its peers", advice)
    elif 3 * status.connected_power <= 2 * status.total_power:
        text = f"{at}, and validators with two thirds of the voting power are not connected"
        advice = "start or connect the others (fedcoin-node validators): blocks wait for them"
        yield Finding("chain", Level.WRONG, text, advice)
    else:
        yield Finding("chain", Level.OK, at)
    if status.vote_overdue:
        advice = "see its log: it says why it is silent (VOTES_MISSING, or a failure)"
        yield Finding("votes", Level.WRONG, "the validator owes a vote and casts none", advice)
    elif status.validator:
        yield Finding("votes", Level.OK, f"last vote at height {status.last_vote_height}")


def check_clock(status: GetStatusResponse, tolerated_ms: int) -> Finding:
    """Compare the node's clock with its peers' clocks.

    Args:
        status: The node's answer to GetStatus.
        tolerated_ms: How far clocks may differ before validators vote against blocks, in ms
            (`max_clock_drift_ms` of the genesis).

    Returns:
        One finding.
    """
    if not status.HasField("clock_difference_ms"):
        advice = "connect a peer: peers tell their time"
        return Finding("clock", Level.UNKNOWN, "no peer has told its time", advice)
    difference = status.clock_difference_ms
    text = f"{abs(difference)} ms {'behind' if difference > 0 else 'ahead of'} the peers' median"
    advice = "set the clock, by NTP for example"
    if abs(difference) > tolerated_ms // 2:
        text = f"{text}; validators tolerate {tolerated_ms} ms"
        return Finding("clock", Level.WRONG, text, advice)
    if abs(difference) > WARN_DIFFERENCE_MS:
        return Finding("clock", Level.WARNING, text, advice)
    return Finding("clock", Level.OK, text)


def check_peers(peers: Sequence[ConnectedPeer], has_seeds: bool) -> Iterator[Finding]:
    """Check the node's connections.

    Args:
        peers: The connected peers.
        has_seeds: Whether the settings name peers to dial.

    Yields:
        A finding about their number, and one about the peers that can dial back.
    """
    if not peers:
        advice = "name a peer in peers.seeds as key@host:port, or see why none answers below"
        level = Level.WRONG if has_seeds else Level.WARNING
        yield Finding("peers", level, "the node has no peer", advice)
        return
    yield Finding("peers", Level.OK, f"{format_count(len(peers), 'peer')} connected")
    # Each node dials those that dialled it, so a connection both ways shows that it can.
    inbound = sum(peer.inbound for peer in peers)
    text = f"{inbound} of {format_count(len(peers), 'peer')} could dial this node"
    if inbound == len(peers):
        yield Finding("dial back", Level.OK, text)
    else:
        advice = (
            "open the port of peers.listen in the firewall, and set peers.advertise to the address "
            "that others reach; a peer that connected a moment ago may still be about to dial"
        )
        yield Finding("dial back", Level.WARNING, text, advice)
