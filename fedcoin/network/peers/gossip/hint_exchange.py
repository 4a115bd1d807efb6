"""Offer messages to peers, ask for offered ones that do not come, and answer those that ask."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from fedcoin.data.lru import LruSet
from fedcoin.network.alarm import Alarm
from fedcoin.network.peers.gossip.consensus_messages import check_hints
from fedcoin.network.peers.gossip.conversation import Conversation
from fedcoin.network.peers.gossip.relayed_messages import (
    HINTS_S,
    LOOK_S,
    MAX_KEPT_VOTE_BYTES,
    KeptMessages,
    MissingMessages,
    SourceRecord,
)
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.v1.consensus_service_pb2 import RelayHints


class HintExchange:
    """The hints of all peers, in both directions (`RelayHints`).

    Args:
        conversations: The connected peers by node key; its owner changes it.
        seen: Digests of the messages that this node has handled.
        send: Queues bytes for a peer.
        now: Gives the time in seconds and never goes back.
    """

    def __init__(
        self,
        conversations: Mapping[bytes, Conversation],
        seen: LruSet[bytes],
        send: Callable[[Conversation, bytes], None],
        now: Callable[[], float],
    ) -> None:
        self._conversations = conversations
        self._seen = seen
        self._send = send
        self._now = now
        # Apart, so that no large proposal pushes out the votes that show who contradicts itself.
        self._votes, self._proposals = KeptMessages(MAX_KEPT_VOTE_BYTES), KeptMessages()
        self._missing = MissingMessages()
        self._sources = SourceRecord()
        self._sending = Alarm(self._send_all)
        self._looking = Alarm(self._ask)

    def keep(self, raw: bytes, digest: bytes) -> None:
        """Keep a message for peers that ask for it.

        Args:
            raw: The serialised `ExchangeRequest`.
            digest: The message's digest.
        """
        is_vote = len(raw) <= LIMITS["ConsensusMessage/vote"].max_bytes
        (self._votes if is_vote else self._proposals).put(digest, raw)

    def offer(self, to: Conversation, raw: bytes, digest: bytes) -> None:
        """Offer a message to a peer with the next hints.

        Args:
            to: The conversation with the peer.
            raw: The serialised `ExchangeRequest`.
            digest: The message's digest.
        """
        self.keep(raw, digest)
        to.offers.add(digest)
        self.send_soon()

    def send_soon(self) -> None:
        """Send hints in a while: something is offered, or a peer has come or left."""
        if not self._sending.is_set:
            self._sending.set(HINTS_S * random.uniform(0.5, 1.5))

    def send_waiting(self) -> None:
        """Send the hints that are due now, because something else is sent to all peers."""
        if self._sending.is_set:
            self._sending.ring()

    def note_arrival(self, digest: bytes) -> bool:
        """Note that a message has arrived.

        Args:
            digest: The message's digest.

        Returns:
            Whether a peer was asked for it.
        """
        return self._missing.arrive(digest)

    def note_source(self, signer: bytes, *, is_direct: bool) -> None:
        """Note how a new message arrived.

        Args:
            signer: The node key of its signer, 32 bytes.
            is_direct: True when the signer sent it, False when another peer had to be asked.
        """
        self._sources.note(signer, self._now(), is_direct=is_direct)

    def receive(self, conversation: Conversation, hints: RelayHints) -> None:
        """Handle the hints of a peer.

        Args:
            conversation: The conversation with the peer.
            hints: The hints, of which nothing was checked.

        Raises:
            RefusalError: MALFORMED when a digest does not have 16 bytes, or a node key not 32.
        """
        check_hints(hints)
        if hints.HasField("direct"):
            conversation.direct = frozenset(hints.direct.node_keys)
        now = self._now()
        for digest in hints.offers:
            conversation.known.add(digest)
            if digest not in self._seen:
                self._missing.note_offer(digest, conversation.peer.key, now)
        for digest in hints.wants:
            raw = self._votes.get(digest) or self._proposals.get(digest)
            if raw is not None and digest not in conversation.known:
                conversation.known.add(digest)
                self._send(conversation, raw)
        self._look_soon()

    def _send_all(self) -> None:
        """Send to each peer what waits to be offered and asked for, and who sends directly."""
        direct = frozenset(self._conversations.keys() - self._sources.list_indirect(self._now()))
        for conversation in tuple(self._conversations.values()):
            hints = conversation.hints(direct)
            if hints is not None:
                self._send(conversation, hints)
            if len(conversation.offers) or len(conversation.wants):
                self.send_soon()

    def _look_soon(self) -> None:
        if len(self._missing):
            self._looking.set(LOOK_S)

    def _ask(self) -> None:
        """Ask for the offered messages that are late."""
        chosen = self._missing.choose_peers(self._now())
        for key, digest in chosen:
            conversation = self._conversations.get(key)
            if conversation is not None:
                conversation.wants.add(digest)
        if chosen:
            self._sending.ring()
        self._look_soon()
