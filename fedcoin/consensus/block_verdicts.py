"""What this validator knows of the proposed blocks: whether they are valid, and what it judges.

Validity follows from the block and the chain alone, so it is asked once for each block. Local facts
(the clock, artifacts, audits) are asked of a new proposal in its round only. Both are asked again
in a later round if the driver could not tell.
"""

from __future__ import annotations

from collections.abc import Callable

from fedcoin.consensus.effects import CheckBlock, Effect, JudgeProposal, Verdict
from fedcoin.data.messages.blocks import Block


class BlockVerdicts:
    """The driver's answers about the blocks of one height, and the questions to it."""

    def __init__(self, effects: list[Effect], *, is_voting: bool) -> None:
        """Start without answers.

        Args:
            effects: Receives the questions to the driver.
            is_voting: Whether this node votes; for an observer, every block counts as valid.
        """
        self._effects = effects
        self._is_voting = is_voting
        # None: asked, and not answered yet.
        self._validity: dict[bytes, Verdict | None] = {}
        self._judged: dict[bytes, Verdict | None] = {}
        self._own: set[bytes] = set()

    def enter_round(self, is_stored: Callable[[bytes], object]) -> None:
        """Forget the answers that a later round must ask for again, and those of deleted blocks.

        Args:
            is_stored: Gives a true value for the hash of a block that is still stored.
        """
        self._validity = {
            block_hash: verdict
            for block_hash, verdict in self._validity.items()
            if verdict is not Verdict.UNKNOWN and is_stored(block_hash)
        }
        self._own = {block_hash for block_hash in self._own if is_stored(block_hash)}
        self._judged.clear()

    def mark_valid(self, block_hash: bytes) -> None:
        """Record that a block is valid without asking: it has a polka that this node checked.

        Args:
            block_hash: The block's hash, 32 bytes.
        """
        self._validity[block_hash] = Verdict.VALID

    def mark_own(self, block_hash: bytes) -> None:
        """Record that this validator built a block: from now on `check` and `judge` return VALID.

        It is not checked again, since it holds only what this node checked and audited before.

        Args:
            block_hash: The block's hash, 32 bytes.
        """
        self.mark_valid(block_hash)
        self._own.add(block_hash)

    def note_checked(self, block_hash: bytes, verdict: Verdict) -> None:
        """Record the answer to `CheckBlock`; VALID or FOUND_FALSE is not changed by a later answer.

        Args:
            block_hash: The block's hash, 32 bytes.
            verdict: The driver's answer; UNKNOWN lets the engine ask again in the next round.
        """
        if block_hash in self._validity and self._validity[block_hash] in (None, Verdict.UNKNOWN):
            self._validity[block_hash] = verdict

    def note_judged(self, block_hash: bytes, verdict: Verdict) -> None:
        """Record the answer to `JudgeProposal` of the current round.

        Args:
            block_hash: The block's hash, 32 bytes.
            verdict: The driver's answer, from its clock, artifacts and audit.
        """
        if block_hash in self._judged:
            self._judged[block_hash] = verdict

    def check(self, round: int, block: Block) -> Verdict | None:
        """Look up whether a block is valid; ask the driver if that was not asked yet.

        Args:
            round: The current round, from 0.
            block: A block of the height that is being decided.

        Returns:
            The driver's answer; None while there is none.
        """
        if not self._is_voting:
            return Verdict.VALID
        if block.hash not in self._validity:
            self._validity[block.hash] = None
            self._effects.append(CheckBlock(round, block))
        return self._validity[block.hash]

    def judge(self, round: int, block: Block) -> Verdict | None:
        """Look up this node's own judgement of a valid block: its clock, artifacts and audit.

        Asks the driver (`JudgeProposal`) when the block has not been judged yet.

        Args:
            round: The current round, from 0.
            block: The block, which is new to the height.

        Returns:
            The judgement; None until the driver has answered.
        """
        if not self._is_voting or block.hash in self._own:
            return Verdict.VALID
        if block.hash not in self._judged:
            self._judged[block.hash] = None
            self._effects.append(JudgeProposal(round, block))
        return self._judged[block.hash]
