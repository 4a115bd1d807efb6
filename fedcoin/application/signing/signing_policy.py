"""What a validator's key signs: votes that contradict no earlier one, and the steps of mining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.height_pace import begin_pace
from fedcoin.application.signing.signed_record import (
    SignedMark,
    SignedRecord,
    SignedRecordFile,
    first_marks,
)
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount
from fedcoin.data.messages.votes import PREVOTE
from fedcoin.v1 import vote_pb2
from fedcoin.v1.artifact_pb2 import ReaderStatement
from fedcoin.v1.transaction_pb2 import TransactionBody

_REVEAL: Final = "reveal_shapley"
SIGNED_ACTIONS: Final = frozenset(
    {"commit_shapley", _REVEAL, "decline_task", "report_equivocation"}
)
"""The actions of transactions that are signed: those of a miner, which pay nobody else."""


@dataclass(frozen=True, slots=True)
class SigningLimits:
    """What a node that was taken over can have signed at most."""

    max_fee: int = SAP_PER_FDC
    """The largest fee, and the largest deposit, of a transaction, in sap."""
    max_per_day: int = 20 * SAP_PER_FDC
    """The largest sum of fees and deposits in 24 hours, in sap; half of it is for reveals alone."""
    block_ms: int = 50
    """The shortest time between two blocks of the network, in ms: how fast heights may rise."""


class SigningPolicy:
    """Decides about each signature of one key in one network, and remembers what it signed.

    Args:
        genesis_hash: The network's genesis hash, 32 bytes.
        file: Keeps what was signed.
        limits: What may be signed at most.
        from_height: The first height at which the key may sign, from 1; None takes what the file
            says.
        clock: Gives the Unix time in ms.

    Raises:
        OSError: The file cannot be read or written.
        RefusalError: BAD_STATE when the file is damaged; VOTES_MISSING when there is none and no
            `from_height`; BAD_ARGUMENT when `from_height` is below what the file says.
    """

    def __init__(
        self,
        genesis_hash: bytes,
        file: SignedRecordFile,
        limits: SigningLimits,
        from_height: int | None,
        clock: Callable[[], int],
    ) -> None:
        self._genesis_hash = genesis_hash
        self._file = file
        self._limits = limits
        self._clock = clock
        self._record = self._open_record(from_height)

    def check(self, context: str, genesis_hash: bytes, body: bytes) -> SigningContext:
        """Decide whether something may be signed, and note it on disk. Blocks.

        Args:
            context: The purpose, a value of `SigningContext`.
            genesis_hash: The network to sign for, 32 bytes.
            body: The bytes to sign.

        Returns:
            The purpose.

        Raises:
            OSError: What is to be signed cannot be noted; nothing may be signed.
            RefusalError: CONFLICTING_VOTE for a vote that contradicts an earlier one, or is below
                one; SIGNER_REFUSED for another network, purpose or action, for a higher fee or
                daily sum, and for a height that is further ahead than time allows; MALFORMED for
                bytes that are no such message.
        """
        if genesis_hash != self._genesis_hash:
            raise _refused(f"it signs for the genesis {self._genesis_hash.hex()} alone")
        if context == SigningContext.VOTE.value:
            vote = canonical.decode(vote_pb2.Vote, body)
            kind = "prevote" if vote.kind == PREVOTE else "precommit"
            self._advance(kind, vote.height, vote.round, body)
        elif context == SigningContext.PROPOSAL.value:
            proposal = canonical.decode(vote_pb2.Proposal, body)
            self._advance("proposal", proposal.height, proposal.round, body)
        elif context == SigningContext.TX.value:
            self._spend(canonical.decode(TransactionBody, body))
        elif context == SigningContext.READER.value:
            # A miner asks for the artifacts of private campaigns; no coins move by it.
            canonical.decode(ReaderStatement, body)
        else:
            raise _refused(
                "it signs votes, proposals, transactions and requests of readers, not"
                f" {context[:40]!r}"
            )
        return SigningContext(context)

    def _advance(self, kind: str, height: int, round: int, body: bytes) -> None:
        mark, digest = self._record.marks[kind], sha256(body).hex()
        if (height, round) < (mark.height, mark.round) or (
            (height, round) == (mark.height, mark.round) and digest != mark.digest
        ):
            raise RefusalError(
                DataCode.CONFLICTING_VOTE,
                f"the signer has signed a {kind} at height {mark.height}, round {mark.round}; it"
                f" signs no other one at height {height}, round {round}",
                field="height",
            )
        if digest == mark.digest:
            return
        now_ms, block_ms = self._clock(), self._limits.block_ms
        highest = self._record.pace.find_highest(now_ms, block_ms)
        if height > highest:
            raise _refused(
                f"height {height} is further ahead of {self._record.pace.height}, where it signed"
                f" last or began, than blocks of {block_ms} ms allow: at most {highest}. If the"
                f" chain is there, start it once with --from-height {height}",
                str(highest),
            )
        marks = {**self._record.marks, kind: SignedMark(height, round, digest)}
        pace = self._record.pace.advance(height, now_ms, block_ms)
        self._note(replace(self._record, marks=marks, pace=pace))

    def _spend(self, body: TransactionBody) -> None:
        action = body.WhichOneof("action")
        if action not in SIGNED_ACTIONS:
            raise _refused(
                f"it signs no {action}: sign that with the key itself, on the signer's machine"
            )
        fee, deposit, limits = body.fee, body.commit_shapley.deposit, self._limits
        for what, amount in (("fee", fee), ("deposit", deposit)):
            if amount > limits.max_fee:
                raise _refused(
                    f"the {what} is {format_amount(amount)}, and at most"
                    f" {format_amount(limits.max_fee)} are signed for (--max-fee)"
                )
        now_ms = self._clock()
        spent = self._record.spending.count(now_ms)
        # A commitment whose reveal is refused would lose its deposit.
        limit = limits.max_per_day if action == _REVEAL else limits.max_per_day // 2
        if spent + fee + deposit > limit:
            raise _refused(
                f"it has signed for {format_amount(spent)} of fees and deposits in 24 hours; with"
                f" {format_amount(fee + deposit)} more that is above {format_amount(limit)}"
                f" ({'' if action == _REVEAL else 'half of '}--max-per-day"
                f"{'' if action == _REVEAL else '; the other half is for reveals'})",
                str(limit),
            )
        spending = self._record.spending.add(fee + deposit, now_ms)
        self._note(replace(self._record, spending=spending))

    def _note(self, record: SignedRecord) -> None:
        self._file.write(record)
        self._record = record

    def _open_record(self, from_height: int | None) -> SignedRecord:
        record = self._file.read()
        if from_height is None:
            if record is None:
                raise RefusalError(
                    DataCode.VOTES_MISSING,
                    f"there is no {self._file.path}, which says what this key has signed: give"
                    " --from-height with the chain's height, 1 for a network that begins; if the"
                    " key has signed in it, with a height that the chain has not reached",
                    field="from-height",
                )
            return record
        highest = max((mark.height for mark in record.marks.values()), default=0) if record else 0
        if from_height < highest:
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"--from-height {from_height} is below {highest}, which the key has signed at:"
                " leave the option out",
                field="from-height",
                limit=str(highest),
            )
        if record is not None and from_height == highest:
            return record
        pace = begin_pace(from_height, self._clock(), self._limits.block_ms)
        made = SignedRecord(first_marks(from_height), pace)
        if record is not None:
            made = replace(made, spending=record.spending)
        self._file.write(made)
        return made


def _refused(problem: str, limit: str = "") -> RefusalError:
    message = f"the signer refuses: {problem}"
    return RefusalError(ApplicationCode.SIGNER_REFUSED, message, field="signer", limit=limit)
