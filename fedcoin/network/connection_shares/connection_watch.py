"""Keep one host from taking all connections of a listener."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from fedcoin.network.connection_shares.own_connections import (
    Connection,
    OwnSockets,
    find_own_sockets,
    list_descriptors,
    shut_down,
)
from fedcoin.network.connection_shares.source_filter import MAX_PASSING, MAX_SOURCES, keep_out
from fedcoin.network.host_groups import HostGroups, group_of, observed_host

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""The pause between two looks, in seconds."""

FULL_LOOK_S: Final = 5.0
"""For how long the same descriptors are taken for the same connections, in seconds."""

KEPT_OUT_S: Final = 60.0
"""For how long a host that took too much gets no new connection, in seconds."""


class ConnectionWatch:
    """Closes what a host has beyond its share, the latest first, and keeps it out for a time.

    A host may take all connections for the time between two looks, and those that others close for
    up to `FULL_LOOK_S`. Where the system has no filters
    at sockets, hosts are not kept out, and what they have too much is closed at each look.

    Args:
        port: The listener's TCP port.
        share: How many connections a host may have.
        hosts: The hosts that have no limit of their own.
        clock: Gives the time in seconds and never goes back.
    """

    def __init__(
        self,
        port: int,
        share: int,
        hosts: HostGroups,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._share = share
        self._hosts = hosts
        self._clock = clock
        self._order: dict[tuple[str, int], int] = {}
        self._next = 0
        self._kept_out: dict[str, float] = {}
        # The sources that the kernel drops, and those that it lets through nevertheless.
        self._filtered: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        # The connections that were cut a moment ago, and until when they count as such.
        self._cut: dict[str, float] = {}
        # The descriptors that the last full look found, and when the next one is due.
        self._known: frozenset[str] = frozenset()
        self._due = 0.0

    @property
    def kept_out(self) -> tuple[str, ...]:
        """The hosts, or /64 networks, that get no new connection now."""
        return tuple(self._kept_out)

    async def run(self) -> None:
        """Look at the connections again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def cut(self, transport: str) -> None:
        """Close a connection on which calls are refused again and again, and keep its host out.

        Its calls that wait are over with it. They would be in front of those of other hosts, in a
        queue of gRPC's library that drops calls at random when it is long.

        Args:
            transport: gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`.
        """
        group = self._hosts.group_of(observed_host(transport))
        port = transport.rpartition(":")[2]
        now = self._clock()
        if self._cut.get(transport, 0.0) > now:
            return
        # Its further calls come in the meantime, and looking for the socket takes long.
        self._cut = {one: until for one, until in self._cut.items() if until > now}
        self._cut[transport] = now + LOOK_S
        if group not in self._kept_out:
            log.warning(
                "%s goes on with calls to port %d that are refused: its connections are closed, and"
                " it gets no other for %g s (limits.exempt_hosts exempts addresses that many use)",
                *(group, self._port, KEPT_OUT_S),
            )
        self._keep_out(group, now)
        found = find_own_sockets(self._port)
        for connection in found.connections:
            if str(connection.port) == port and self._hosts.group_of(connection.host) == group:
                shut_down(connection)
        self._filter(found)

    def look(self) -> None:
        """Close what hosts have beyond their share, and change who is kept out.

        A full look takes 2 ms; it is left out while no descriptor is new.
        """
        now, descriptors = self._clock(), list_descriptors()
        is_known = now < self._due and descriptors <= self._known
        if not self._kept_out and (is_known or len(descriptors) <= self._share):
            return
        self._known, self._due = descriptors, now + FULL_LOOK_S
        found = find_own_sockets(self._port)
        for group, connections in self._by_group(found.connections).items():
            if len(connections) > self._share:
                if group not in self._kept_out:
                    log.warning(
                        "%s has %d connections to port %d, and may have %d: the latest ones are"
                        " closed, and it gets no other for %g s (limits.exempt_hosts exempts"
                        " addresses that many share)",
                        *(group, len(connections), self._port, self._share, KEPT_OUT_S),
                    )
                self._keep_out(group, now)
                for connection in connections[self._share :]:
                    shut_down(connection)
        self._kept_out = {
            group: until
            for group, until in list(self._kept_out.items())[-MAX_SOURCES:]
            if until > now
        }
        self._filter(found)

    def _keep_out(self, group: str, now: float) -> None:
        self._kept_out.pop(group, None)
        self._kept_out[group] = now + KEPT_OUT_S

    def _filter(self, found: OwnSockets) -> None:
        sources = self.kept_out[-MAX_SOURCES:]
        validators = sorted(self._hosts.validators.addresses.difference(sources))
        passing = tuple(one for one in validators if group_of(one) in sources)[:MAX_PASSING]
        if (sources, passing) != self._filtered:
            self._filtered = sources, passing
            keep_out(found.listening, sources, passing)

    def _by_group(self, connections: list[Connection]) -> dict[str, list[Connection]]:
        """Sort the connections of hosts with a limit, the earliest first."""
        known = {(one.host, one.port): one for one in connections}
        order = {caller: at for caller, at in self._order.items() if caller in known}
        for caller in known.keys() - order.keys():
            order[caller], self._next = self._next, self._next + 1
        self._order = order
        groups: dict[str, list[Connection]] = defaultdict(list)
        for caller in sorted(order, key=order.__getitem__):
            if not self._hosts.is_exempt(caller[0]):
                groups[self._hosts.group_of(caller[0])].append(known[caller])
        return groups
