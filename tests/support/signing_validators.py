"""Validators whose keys a test holds, and a driver for one validator's engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from fedcoin.consensus.effects import (
    CastVote,
    Effect,
    JudgeProposal,
    Message,
    SendProposal,
    Verdict,
)
from fedcoin.consensus.lock_record import decode_lock
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Proposal, Vote, sign_proposal, sign_vote
from fedcoin.testing.consensus_simulation.block_application import opaque_block

GENESIS_HASH = sha256(b"committee")
HEIGHT = 5
TIMEOUTS = Timeouts(propose_ms=1000, vote_ms=500)

BLOCK = opaque_block(b"a block")
OTHER = opaque_block(b"another block")
NIL = b""

E = TypeVar("E")


def hash_of(value: Block | bytes) -> bytes:
    """Return the hash in a vote for a block, for an opaque block of these bytes, or for NIL."""
    if isinstance(value, Block):
        return value.hash
    return sha256(value) if value else NIL


class SigningValidators:
    """Validators in the order of their addresses; validator r proposes in round r."""

    def __init__(self, *powers: int) -> None:
        powers = powers or (1, 1, 1, 1)
        keys = [KeyPair.from_seed(bytes([i + 1]) * 32) for i in range(len(powers))]
        self.keys = sorted(keys, key=lambda key: key.address)
        self.validators = ValidatorSet.from_members(
            Validator.from_key(key.public_key, power)
            for key, power in zip(self.keys, powers, strict=True)
        )

    def proposer(self, round: int) -> Validator:
        return self.validators.members[round % len(self.keys)]

    def vote(
        self,
        i: int,
        kind: int,
        round: int,
        value: Block | bytes,
        height: int = HEIGHT,
        *,
        audited: bool = True,
    ) -> Vote:
        """Sign a vote; a prevote for a block says that the block was audited by default."""
        block_hash = hash_of(value)
        return sign_vote(
            kind,
            height,
            round,
            block_hash,
            self.keys[i],
            GENESIS_HASH,
            audited=audited and kind == PREVOTE and block_hash != NIL,
        )

    def prevote(self, i: int, round: int, value: Block | bytes, *, audited: bool = True) -> Vote:
        return self.vote(i, PREVOTE, round, value, audited=audited)

    def precommit(self, i: int, round: int, value: Block | bytes) -> Vote:
        return self.vote(i, PRECOMMIT, round, value)

    def proposal(self, round: int, block: Block, valid_round: int = -1, by: int = -1) -> Proposal:
        key = self.keys[round % len(self.keys) if by < 0 else by]
        return sign_proposal(HEIGHT, round, valid_round, block, key, GENESIS_HASH)

    def voting(
        self, me: int | None, restored: Sequence[Message] = (), lock: bytes = b""
    ) -> TendermintEngine:
        return TendermintEngine(
            HEIGHT,
            self.validators,
            self.proposer,
            None if me is None else self.keys[me].public_key,
            TIMEOUTS,
            restored,
            decode_lock(lock, GENESIS_HASH, opaque_block) if lock else None,
        )


class EngineDriver:
    """One validator's engine: signs the votes that it asks for, and accepts blocks as a test
    decides.

    `said` holds the signed messages and `seen` all effects, in order; `lock` is the stored lock.
    """

    def __init__(
        self,
        committee: SigningValidators,
        me: int,
        restored: Sequence[Message] = (),
        lock: bytes = b"",
        started: bool = True,
        facts: Verdict | None = Verdict.VALID,
    ) -> None:
        self.committee = committee
        self.me = me
        # What local facts say of every block; None leaves the question open.
        self.facts = facts
        self.engine = committee.voting(me, restored, lock)
        self.said: list[Message] = []
        self.seen: list[Effect] = []
        self.lock = lock
        if started:
            self.do(self.engine.start())

    def hear(self, *messages: Message) -> None:
        for message in messages:
            if isinstance(message, Proposal):
                self.do(self.engine.on_proposal(message))
            else:
                self.do(self.engine.on_vote(message))

    def find(self, value: Block | bytes, ok: bool) -> None:
        """Answer whether a block is valid."""
        verdict = Verdict.VALID if ok else Verdict.FOUND_FALSE
        self.do(self.engine.on_block_checked(hash_of(value), verdict))

    def judge(self, value: Block | bytes, verdict: Verdict, round: int = 0) -> None:
        """Answer what local facts say of a block."""
        self.do(self.engine.on_proposal_judged(round, hash_of(value), verdict))

    def do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self.seen.append(effect)
            key = self.committee.keys[self.me]
            if isinstance(effect, CastVote):
                self.lock = effect.lock or self.lock
                vote = sign_vote(
                    effect.kind,
                    HEIGHT,
                    effect.round,
                    effect.block_hash,
                    key,
                    GENESIS_HASH,
                    audited=effect.audited,
                )
                self.said.append(vote)
                self.hear(vote)
            elif isinstance(effect, JudgeProposal) and self.facts is not None:
                self.judge(effect.block, self.facts, effect.round)
            elif isinstance(effect, SendProposal):
                proposal = sign_proposal(
                    HEIGHT, effect.round, effect.valid_round, effect.block,
                    key, GENESIS_HASH,
                )  # fmt: skip
                self.said.append(proposal)
                self.hear(proposal)

    def votes(self) -> list[tuple[int, int, bytes]]:
        """Return kind, round and block hash of each vote that it cast."""
        return [(m.kind, m.round, m.block_hash) for m in self.said if isinstance(m, Vote)]

    def all(self, kind: type[E]) -> list[E]:
        """Return its effects of one type."""
        return [effect for effect in self.seen if isinstance(effect, kind)]
