"""Dial peers, and dial again when a connection ends.

Three kinds of addresses are dialled: seeds, as long as the node runs; peers that dialled this node,
so that it can call them too; and addresses from the book, while there are fewer outbound peers than
allowed. After each failure an address waits longer, with jitter, so that nodes that lost each other
do not dial again at the same moment. After a failure that is not transient, such as another chain,
it waits for the longest pause at once.

Back-off and classification of errors are those of all clients (`network.client`). The loop is this
module's own, because it chooses among many addresses instead of waiting for one, and because a peer
that dials this node ends the pause of its address.
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
from fedcoin.network.peers.connections.endpoints import Endpoint, is_loopback
from fedcoin.network.peers.connections.link import Introduction, Link, open_link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.connections.security import Security

log = logging.getLogger(__name__)

MAX_DIALS = 8
"""The number of addresses that are dialled at once."""

MAX_REMEMBERED = 4096
"""The number of addresses whose failures are remembered."""

STABLE_S = 5.0
"""A connection that ends sooner counts as a failure, in seconds."""

TICK_S = 0.5

KeepLink = Callable[[Peer, Link], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Record:
    """The results of dialling one address."""

    failures: int = 0
    due: float = 0.0
    node_key: bytes | None = None
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
        seeds: tuple[Endpoint, ...],
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
        self._records: LruDict[Endpoint, _Record] = LruDict(MAX_REMEMBERED)
        self._busy: set[Endpoint] = set()
        self._woken = asyncio.Event()
        peers.on_admitted.append(self._retry_now)
        peers.on_left.append(lambda peer: self._woken.set())

    async def run(self) -> None:
        """Dial missing peers. Runs until cancelled."""
        while True:
            for endpoint, expected_key in self._wanted().items():
                if len(self._busy) >= MAX_DIALS:
                    break
                self._busy.add(endpoint)
                self._tasks.start(self._try(endpoint, expected_key), f"dial {endpoint}")
            with contextlib.suppress(asyncio.TimeoutError):
                await run_within(TICK_S, self._woken.wait())
            self._woken.clear()

    async def dial(self, endpoint: Endpoint, expected_key: bytes | None = None) -> Peer:
        """Dial an address now.

        Args:
            endpoint: The address.
            expected_key: The node key that must answer; None accepts any.

        Returns:
            The connected peer.

        Raises:
            RefusalError: BANNED, SELF_CONNECTION, or a code of `open_link`.
        """
        timeout_s = self._options.dial_timeout_s
        link = await open_link(
            endpoint, self._introduction, self._security, timeout_s, expected_key
        )
        record = self._record(endpoint)
        record.node_key = link.identity.node_key
        self._book.record_success(endpoint, link.identity.node_key, self._wall_clock())
        known = self._peers.get(link.identity.node_key)
        if known is not None and known.link is not None:
            # This is another address of a peer that is connected.
            record.due = self._peers.now() + self._options.max_backoff_s
            await link.close()
            return known
        try:
            peer = self._peers.attach(link, outbound=True)
        except RefusalError:
            await link.close()
            raise
        self._tasks.start(self._hold(peer, link), f"link to {endpoint}")
        return peer

    async def _hold(self, peer: Peer, link: Link) -> None:
        record = self._record(link.endpoint)
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

    def _wanted(self) -> dict[Endpoint, bytes | None]:
        # The addresses to dial now, each with the node key that must answer; None accepts any.
        wanted = {end: key for end, key in self._missing() if self._may_try(end)}
        free = self._options.max_outbound - self._peers.outbound() - len(self._busy)
        if free > 0 and self._options.peer_exchange:
            taken = {peer.key for peer in self._peers} | self._peers.banned()
            candidates = filter(self._may_try, self._book.candidates(taken))
            wanted.update(dict.fromkeys(itertools.islice(candidates, free)))
        return wanted

    def _may_try(self, endpoint: Endpoint) -> bool:
        record = self._records.get(endpoint)
        if record is not None:
            banned = record.node_key in self._peers.banned()
            if record.own or banned or record.due > self._peers.now():
                return False
        return endpoint not in self._busy

    def _missing(self) -> Iterator[tuple[Endpoint, bytes | None]]:
        for peer in self._peers:
            if peer.link is None and peer.endpoint is not None and _may_dial(peer):
                # The key is required: the peer may have named the address of somebody else.
                yield peer.endpoint, peer.key
        for seed in self._seeds:
            if not self._connected(seed):
                yield seed, None

    def _retry_now(self, peer: Peer) -> None:
        # A peer that dialled this node is up, however often dialling it failed.
        record = None if peer.endpoint is None else self._records.get(peer.endpoint)
        if record is not None:
            record.due = self._peers.now()
        self._woken.set()

    def _connected(self, endpoint: Endpoint) -> bool:
        record = self._records.get(endpoint)
        if record is None or record.node_key is None:
            return False
        peer = self._peers.get(record.node_key)
        return peer is not None and peer.link is not None

    async def _try(self, endpoint: Endpoint, expected_key: bytes | None) -> None:
        try:
            peer = await self.dial(endpoint, expected_key)
        except RefusalError as refusal:
            self._failed(endpoint, refusal)
        else:
            log.debug("dialled %s: %s", endpoint, peer)
        finally:
            self._busy.discard(endpoint)
            self._woken.set()

    def _failed(self, endpoint: Endpoint, refusal: RefusalError) -> None:
        record = self._record(endpoint)
        if refusal.code is NetworkCode.SELF_CONNECTION:
            record.own = True
            self._book.forget(endpoint)
            return
        if refusal.code is NetworkCode.BANNED and record.node_key is not None:
            peer = self._peers.get(record.node_key)
            if peer is not None and peer.link is None:
                self._peers.drop(peer, "it banned this node")
        record.failures += 1
        self._book.record_failure(endpoint)
        transient = is_transient(status_of(refusal.code), refusal.code.name)
        self._pause(record, longest=not transient)
        # One warning for each time that a seed goes away, so that the log does not fill up.
        level = (
            logging.WARNING if endpoint in self._seeds and record.failures == 1 else logging.DEBUG
        )
        log.log(level, "cannot connect to %s, trying again: %s", endpoint, refusal)

    def _pause(self, record: _Record, *, longest: bool = False) -> None:
        max_s = self._options.max_backoff_s
        first_s = max_s if longest else self._options.first_backoff_s
        record.due = self._peers.now() + pause_after(record.failures, first_s, max_s)

    def _record(self, endpoint: Endpoint) -> _Record:
        return self._records.get_or_create(endpoint, _Record)


def _may_dial(peer: Peer) -> bool:
    # A peer on another machine cannot make this node dial services on loopback.
    assert peer.endpoint is not None
    return not peer.endpoint.loopback or not peer.host or is_loopback(peer.host)
