"""Dial peers, and dial again when a connection ends.

Three kinds of addresses are dialled: seeds, as long as the node runs; peers that dialled this node,
so that it can call them too; and addresses from the book, while there are fewer outbound peers than
allowed. After each failure an address waits longer, with jitter, so that nodes that lost each other
do not dial again at the same moment. After a failure that is not transient, such as another chain,
it waits for the longest pause at once.

Back-off and classification of errors are those of all clients (`network.client`). The loop is this
module's own, because it chooses among many addresses instead of waiting for one, and because a peer
that dials this node ends the pause of its address.

An address names the node key that must answer (`node_addresses`). A seed without one is trusted on
first use: the key that answers first is pinned in the address book, and no other is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.network.background_tasks import BackgroundTasks, run_within
from fedcoin.network.client.backoff import pause_after
from fedcoin.network.client.rpc_error import is_transient
from fedcoin.network.error_statuses import status_of
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PeerOptions
from fedcoin.network.peers.connections.address_book import AddressBook
from fedcoin.network.peers.connections.endpoints import is_loopback
from fedcoin.network.peers.connections.link import Introduction, Link, open_link
from fedcoin.network.peers.connections.node_addresses import NodeAddress
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.connections.security import Security

log = logging.getLogger(__name__)

MAX_DIALS = 8
"""The number of addresses that are dialled at once."""

MAX_REMEMBERED = 4096
"""The number of addresses whose failures are remembered."""

STABLE_S = 5.0
"""A connection that ends before this time, in seconds, counts as a failure."""

TICK_S = 0.5
"""How often addresses that are due are looked for at least, in seconds."""

KeepLink = Callable[[Peer, Link], Coroutine[Any, Any, None]]
"""Keeps a connection in use, and returns when it has ended."""


@dataclass(slots=True)
class _Record:
    """The results of dialling one address."""

    failures: int = 0
    due: float = 0.0
    own: bool = False


class Dialer:
    """Dials missing peers in the background.

    Args:
        options: Limits and pauses.
        seeds: Addresses that are dialled as long as the node runs.
        introduction: This node's identity.
        security: Opens channels.
        peers: The connected peers.
        book: The known addresses.
        keep: Uses a new link until it breaks.
        tasks: Owns the background tasks.
        wall_clock: Gives Unix seconds.
    """

    def __init__(
        self,
        options: PeerOptions,
        seeds: tuple[NodeAddress, ...],
        introduction: Introduction,
        security: Security,
        peers: PeerSet,
        book: AddressBook,
        keep: KeepLink,
        tasks: BackgroundTasks,
        wall_clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._seeds = seeds
        self._introduction = introduction
        self._security = security
        self._peers = peers
        self._book = book
        self._keep = keep
        self._tasks = tasks
        self._wall_clock = wall_clock
        self._records: LruDict[NodeAddress, _Record] = LruDict(MAX_REMEMBERED)
        self._busy: set[NodeAddress] = set()
        self._woken = asyncio.Event()
        peers.on_admitted.append(self._retry_now)
        peers.on_left.append(lambda peer: self._woken.set())

    async def run(self) -> None:
        """Dial missing peers. Runs until cancelled."""
        while True:
            for address in self._wanted():
                if len(self._busy) >= MAX_DIALS:
                    break
                self._busy.add(address)
                self._tasks.start(self._try(address), f"dial {address}")
            with contextlib.suppress(asyncio.TimeoutError):
                await run_within(TICK_S, self._woken.wait())
            self._woken.clear()

    async def dial(self, address: NodeAddress) -> Peer:
        """Dial an address now.

        Args:
            address: The address. Without a node key it accepts the key that was proved there
                before, or else any key, which is pinned.

        Returns:
            The connected peer, which may have been connected already under another address.

        Raises:
            RefusalError: BANNED when the node or its host is banned; SELF_CONNECTION when it is
                this node; PEER_UNREACHABLE when nothing answers; another code of `open_link` when
                the handshake failed.
        """
        wanted = self._resolve(address)
        link = await open_link(
            wanted.endpoint,
            self._introduction,
            self._security,
            self._options.dial_timeout_s,
            wanted.node_key,
        )
        found = NodeAddress(wanted.endpoint, link.identity.node_key)
        self._remember(address, found)
        known = self._peers.get(link.identity.node_key)
        if known is not None and known.link is not None:
            # This is another address of a peer that is connected.
            self._record(found).due = self._peers.now() + self._options.max_backoff_s
            await link.close()
            return known
        try:
            peer = self._peers.attach(link, outbound=True)
        except RefusalError:
            await link.close()
            raise
        self._tasks.start(self._hold(peer, link, self._record(found)), f"link to {found}")
        return peer

    def _resolve(self, address: NodeAddress) -> NodeAddress:
        if address.node_key is not None:
            return address
        return NodeAddress(address.endpoint, self._book.known_key(address.endpoint))

    def _remember(self, asked: NodeAddress, found: NodeAddress) -> None:
        """Record which node answered, and pin its key if the operator did not name it."""
        without_key = NodeAddress(found.endpoint, None)
        is_first = self._book.known_key(found.endpoint) is None
        pin = asked.node_key is None or without_key in self._seeds
        self._book.record_success(found, self._wall_clock(), pin=pin)
        if pin and is_first:
            log.warning(
                "%s names no node key; the key that answered is pinned in the address book: write "
                "%s instead",
                found.endpoint,
                found,
            )

    async def _hold(self, peer: Peer, link: Link, record: _Record) -> None:
        if record.failures:
            log.info("connected to %s again", link.endpoint)
        since = self._peers.now()
        try:
            await self._keep(peer, link)
        finally:
            self._peers.detach(peer, link)
        # A peer that hangs up at once counts like one that does not answer.
        lived = self._peers.now() - since
        record.failures = record.failures + 1 if lived < STABLE_S else 0
        self._pause(record)
        self._woken.set()

    def _wanted(self) -> list[NodeAddress]:
        wanted = dict.fromkeys(filter(self._may_try, self._missing()))
        free = self._options.max_outbound - self._peers.outbound() - len(self._busy)
        if free > 0 and self._options.peer_exchange:
            taken = {peer.key for peer in self._peers} | self._peers.banned()
            candidates = filter(self._may_try, self._book.candidates(taken))
            wanted.update(dict.fromkeys(itertools.islice(candidates, free)))
        return list(wanted)

    def _may_try(self, address: NodeAddress) -> bool:
        record = self._records.get(address)
        if record is not None and (record.own or record.due > self._peers.now()):
            return False
        is_own = address.node_key == self._introduction.key.public_key
        if is_own or address in self._busy:
            return False
        return not self._peers.is_banned(address.node_key, address.endpoint.host)

    def _missing(self) -> Iterator[NodeAddress]:
        for peer in self._peers:
            if peer.link is None and peer.endpoint is not None and _may_dial(peer):
                # The key is required: the peer may have named another node's address.
                yield NodeAddress(peer.endpoint, peer.key)
        for seed in map(self._resolve, self._seeds):
            if not self._is_connected(seed):
                yield seed

    def _retry_now(self, peer: Peer) -> None:
        # A peer that dialled this node is up, however often dialling it failed.
        if peer.endpoint is not None:
            record = self._records.get(NodeAddress(peer.endpoint, peer.key))
            if record is not None:
                record.due = self._peers.now()
        self._woken.set()

    def _is_connected(self, address: NodeAddress) -> bool:
        peer = None if address.node_key is None else self._peers.get(address.node_key)
        return peer is not None and peer.link is not None

    async def _try(self, address: NodeAddress) -> None:
        try:
            peer = await self.dial(address)
        except RefusalError as refusal:
            self._failed(address, refusal)
        else:
            log.debug("dialled %s: %s", address, peer)
        finally:
            self._busy.discard(address)
            self._woken.set()

    def _failed(self, address: NodeAddress, refusal: RefusalError) -> None:
        record = self._record(address)
        if refusal.code is NetworkCode.SELF_CONNECTION:
            record.own = True
            self._book.forget(address.endpoint)
            return
        if refusal.code is NetworkCode.BANNED and address.node_key is not None:
            peer = self._peers.get(address.node_key)
            if peer is not None and peer.link is None:
                self._peers.drop(peer, "it banned this node")
        record.failures += 1
        self._book.record_failure(address)
        transient = is_transient(status_of(refusal.code), refusal.code.name)
        self._pause(record, longest=not transient)
        # One warning for each time that a seed goes away, so that the log does not fill up.
        is_seed = any(seed.endpoint == address.endpoint for seed in self._seeds)
        level = logging.WARNING if is_seed and record.failures == 1 else logging.DEBUG
        log.log(level, "cannot connect to %s, trying again: %s", address, refusal)

    def _pause(self, record: _Record, *, longest: bool = False) -> None:
        max_s = self._options.max_backoff_s
        first_s = max_s if longest else self._options.first_backoff_s
        record.due = self._peers.now() + pause_after(record.failures, first_s, max_s)

    def _record(self, address: NodeAddress) -> _Record:
        return self._records.get_or_create(address, _Record)


def _may_dial(peer: Peer) -> bool:
    # A peer on another machine cannot make this node dial services on loopback.
    assert peer.endpoint is not None
    return not peer.endpoint.loopback or not peer.host or is_loopback(peer.host)
