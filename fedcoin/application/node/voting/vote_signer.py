"""Sign votes and proposals, and store each one before it is sent.

So a restart cannot make this validator vote twice, or vote against a block that it is locked on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.voting.signing_guard import SigningGuard
from fedcoin.consensus.effects import CastVote, Message, SendProposal
from fedcoin.consensus.lock_record import LockRecord, decode_lock
from fedcoin.data.crypto.keys import SigningKey
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import (
    PREVOTE,
    Vote,
    decode_proposal,
    decode_vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.vote_log import OwnVote
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote

_SILENCING: Final[frozenset[Enum]] = frozenset(
    {
        DataCode.CONFLICTING_VOTE,
        DataCode.VOTES_MISSING,
        ApplicationCode.PEERS_AWAY,
        ApplicationCode.SIGNER_AWAY,
        ApplicationCode.SIGNER_REFUSED,
    }
)

log = logging.getLogger(__name__)

KEPT_HEIGHTS = 100
"""The number of heights whose own votes are kept; older ones are deleted regularly."""


_PAUSES_S: Final[Mapping[Enum, float]] = MappingProxyType(
    {ApplicationCode.PEERS_AWAY: 0.2, ApplicationCode.SIGNER_AWAY: 1.0}
)
"""The pause before a vote is tried again for which peers or the key's process were away, in
seconds."""


class VoteSigner:
    """Signs votes and proposals with one key. Its methods block; a thread may call them.

    Args:
        key: The validator's key.
        store: Keeps the votes.
        genesis: The network's genesis.
        guard: Keeps the key silent while the store may lack its votes; None trusts the store.
    """

    def __init__(
        self,
        key: SigningKey,
        store: ChainStore,
        genesis: Genesis,
        guard: SigningGuard | None = None,
    ) -> None:
        self._key = key
        self._store = store
        self._guard = guard
        # Why the latest vote was not signed, and at which height.
        self._silence: tuple[int, Enum] | None = None
        self._genesis_hash = genesis.hash
        self._max_block_bytes = genesis.parameters.max_block_bytes

    @property
    def public_key(self) -> bytes:
        """The public key of the validator, 32 bytes."""
        return self._key.public_key

    @property
    def address(self) -> bytes:
        """The address of the validator, 20 bytes."""
        return self._key.address

    def may_sign(self, height: int) -> bool:
        """Tell whether the key may sign at a height; if not, log why.

        Args:
            height: The height that is being decided.

        Returns:
            False while the store may lack votes that the key signed at this height.
        """
        if self._guard is None or self._guard.may_sign(height):
            return True
        log.warning("this validator is silent at height %d: %s", height, self._guard.explain())
        return False

    def note_silence(self, height: int, refusal: RefusalError) -> float | None:
        """Log why a vote was not signed: once for each reason at a height, since it is tried again.

        Args:
            height: The height that is being decided.
            refusal: What `sign` raised.

        Returns:
            After which pause, in seconds, it may be tried again, when only peers or the key's
            process were away; None when it may not be signed.

        Raises:
            RefusalError: The refusal itself, when it is a fault of this node.
        """
        if refusal.code not in _SILENCING:
            raise refusal
        pause_s = _PAUSES_S.get(refusal.code)
        is_repeated = pause_s is not None and self._silence == (height, refusal.code)
        log.log(logging.DEBUG if is_repeated else logging.WARNING, "kept silent: %s", refusal)
        self._silence = height, refusal.code
        return pause_s

    def sign(self, height: int, effect: SendProposal | CastVote) -> Message:
        """Sign a proposal or vote and store it.

        Args:
            height: The height that is being decided.
            effect: What the engine wants to send.

        Returns:
            The signed message, which may be sent: it is on disk.

        Raises:
            RefusalError: CONFLICTING_VOTE when another one was signed for the same kind, height and
                round, VOTES_MISSING when the key is silent, PEERS_AWAY when it waits for a peer,
                SIGNER_AWAY or SIGNER_REFUSED when the process that holds the key gives no
                signature; then nothing may be sent.
        """
        if self._guard is not None:
            self._guard.prepare(height)
        lock: list[OwnVote] = []
        if isinstance(effect, SendProposal):
            message: Message = sign_proposal(
                height,
                effect.round,
                effect.valid_round,
                effect.block,
                self._key,
                self._genesis_hash,
            )
            kind = "proposal"
        else:
            if effect.lock:
                lock.append(OwnVote("lock", height, effect.round, effect.block_hash, effect.lock))
            message = sign_vote(
                effect.kind,
                height,
                effect.round,
                effect.block_hash,
                self._key,
                self._genesis_hash,
                audited=effect.audited,
            )
            kind = "prevote" if effect.kind == PREVOTE else "precommit"
        envelope = message.envelope.SerializeToString(deterministic=True)
        own = OwnVote(kind, height, effect.round, message.block_hash, envelope)
        self._store.votes.record(*lock, own)
        if self._guard is not None:
            self._guard.note(own)
        return message

    def load(self, height: int) -> tuple[tuple[Message, ...], LockRecord | None]:
        """Read the votes of a height that were signed before a restart.

        Args:
            height: The height that is being decided.

        Returns:
            The signed messages, and the lock: the block that the validator is bound to, if any.
        """
        if height % KEPT_HEIGHTS == 0:
            self._store.votes.prune(height - KEPT_HEIGHTS)
        messages: list[Message] = []
        lock: LockRecord | None = None
        for kept in self._store.votes.list_at(height):
            if kept.kind == "lock":
                lock = decode_lock(kept.envelope, self._genesis_hash, self._decode_block)
            elif kept.kind == "proposal":
                messages.append(self._proposal(kept.envelope))
            else:
                messages.append(self._vote(kept.envelope))
        own = tuple(m for m in messages if m.public_key == self._key.public_key)
        return own, lock

    def _decode_block(self, raw: bytes) -> Block:
        return decode_block(raw, self._max_block_bytes)

    def _vote(self, envelope: bytes) -> Vote:
        return decode_vote(SignedVote.FromString(envelope), self._genesis_hash)

    def _proposal(self, envelope: bytes) -> Message:
        signed = SignedProposal.FromString(envelope)
        return decode_proposal(signed, self._genesis_hash, self._max_block_bytes)
