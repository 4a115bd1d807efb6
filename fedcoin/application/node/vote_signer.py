"""A validator's word: on disk before anybody hears it, and never gone back on."""

from __future__ import annotations

from fedcoin.consensus.effects import CastVote, Message, SendProposal
from fedcoin.consensus.lock_record import LockRecord, decode_lock
from fedcoin.data.crypto.keys import KeyPair
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

KEPT_HEIGHTS = 100
"""Own votes of this many heights are kept, at least; older ones are forgotten now and then."""


class VoteSigner:
    """Signs votes and proposals with one key; synchronous, and safe to call from a thread."""

    def __init__(self, key: KeyPair, store: ChainStore, genesis: Genesis) -> None:
        self._key = key
        self._store = store
        self._chain_id = genesis.chain_id
        self._max_block_bytes = genesis.parameters.max_block_bytes

    @property
    def public_key(self) -> bytes:
        """The key that signs."""
        return self._key.public_key

    @property
    def address(self) -> bytes:
        """The address of that key."""
        return self._key.address

    def give(self, height: int, said: SendProposal | CastVote) -> Message:
        """Signs a proposal or vote and writes it down.

        Raises :class:`~fedcoin.data.errors.Refusal` CONFLICTING_VOTE when another one was given
        before; then nothing may be sent.
        """
        if isinstance(said, SendProposal):
            message: Message = sign_proposal(
                height,
                said.round,
                said.valid_round,
                said.block,
                self._key,
                self._chain_id,
            )
            kind = "proposal"
        else:
            if said.lock:
                self._store.votes.record(
                    OwnVote("lock", height, said.round, said.block_hash, said.lock)
                )
            message = sign_vote(
                said.kind, height, said.round, said.block_hash, self._key, self._chain_id
            )
            kind = "prevote" if said.kind == PREVOTE else "precommit"
        envelope = message.envelope.SerializeToString(deterministic=True)
        self._store.votes.record(OwnVote(kind, height, said.round, message.block_hash, envelope))
        return message

    def given(self, height: int) -> tuple[tuple[Message, ...], LockRecord | None]:
        """What was said at a height before a restart, and the block that it is bound to."""
        if height % KEPT_HEIGHTS == 0:
            self._store.votes.prune(height - KEPT_HEIGHTS)
        messages: list[Message] = []
        lock: LockRecord | None = None
        for kept in self._store.votes.list_at(height):
            if kept.kind == "lock":
                lock = decode_lock(kept.envelope, self._chain_id, self._decode_block)
            elif kept.kind == "proposal":
                messages.append(self._proposal(kept.envelope))
            else:
                messages.append(self._vote(kept.envelope))
        own = tuple(m for m in messages if m.public_key == self._key.public_key)
        return own, lock

    def _decode_block(self, raw: bytes) -> Block:
        return decode_block(raw, self._max_block_bytes)

    def _vote(self, envelope: bytes) -> Vote:
        return decode_vote(SignedVote.FromString(envelope), self._chain_id)

    def _proposal(self, envelope: bytes) -> Message:
        signed = SignedProposal.FromString(envelope)
        return decode_proposal(signed, self._chain_id, self._max_block_bytes)
