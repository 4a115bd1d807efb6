"""What a validator's key signs: votes that contradict no earlier one, and the steps of mining."""

from __future__ import annotations

from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.signed_marks import SignedMark, SignedMarksFile, first_marks
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.votes import PREVOTE
from fedcoin.v1 import vote_pb2
from fedcoin.v1.artifact_pb2 import ReaderStatement
from fedcoin.v1.transaction_pb2 import TransactionBody

SIGNED_ACTIONS: Final = frozenset(
    {"commit_shapley", "reveal_shapley", "decline_task", "report_equivocation"}
)
"""The actions of transactions that are signed: those of a miner, which pay nobody else."""


class SigningPolicy:
    """Decides about each signature of one key in one network, and remembers its votes.

    Args:
        genesis_hash: The network's genesis hash, 32 bytes.
        file: Keeps the latest votes.
        max_fee: The largest fee and deposit of a transaction that is signed, in sap each.
        from_height: The first height at which the key may sign, from 1; None takes what the file
            says.

    Raises:
        OSError: The file cannot be read or written.
        RefusalError: BAD_STATE when the file is damaged; VOTES_MISSING when there is none and no
            `from_height`; BAD_ARGUMENT when `from_height` is below what the file says.
    """

    def __init__(
        self, genesis_hash: bytes, file: SignedMarksFile, max_fee: int, from_height: int | None
    ) -> None:
        self._genesis_hash = genesis_hash
        self._file = file
        self._max_fee = max_fee
        self._marks = _open_marks(file, from_height)

    def check(self, context: str, genesis_hash: bytes, body: bytes) -> SigningContext:
        """Decide whether something may be signed; if it is a vote, note it on disk. Blocks.

        Args:
            context: The purpose, a value of `SigningContext`.
            genesis_hash: The network to sign for, 32 bytes.
            body: The bytes to sign.

        Returns:
            The purpose.

        Raises:
            OSError: The mark cannot be stored; nothing may be signed.
            RefusalError: CONFLICTING_VOTE for a vote that contradicts an earlier one, or is below
                one; SIGNER_REFUSED for another network, purpose, action or a higher fee; MALFORMED
                for bytes that are no such message.
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
            self._check_transaction(canonical.decode(TransactionBody, body))
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
        mark, digest = self._marks[kind], sha256(body).hex()
        if (height, round) < (mark.height, mark.round) or (
            (height, round) == (mark.height, mark.round) and digest != mark.digest
        ):
            raise RefusalError(
                DataCode.CONFLICTING_VOTE,
                f"the signer has signed a {kind} at height {mark.height}, round {mark.round}; it"
                f" signs no other one at height {height}, round {round}",
                field="height",
            )
        if digest != mark.digest:
            marks = {**self._marks, kind: SignedMark(height, round, digest)}
            self._file.write(marks)
            self._marks = marks

    def _check_transaction(self, body: TransactionBody) -> None:
        action = body.WhichOneof("action")
        if action not in SIGNED_ACTIONS:
            raise _refused(
                f"it signs no {action}: sign that with the key itself, on the signer's machine"
            )
        for what, amount in (("fee", body.fee), ("deposit", body.commit_shapley.deposit)):
            if amount > self._max_fee:
                raise _refused(
                    f"the {what} is {format_amount(amount)}, and at most"
                    f" {format_amount(self._max_fee)} are signed for (--max-fee)"
                )


def _open_marks(file: SignedMarksFile, from_height: int | None) -> dict[str, SignedMark]:
    marks = file.read()
    if marks is None and from_height is None:
        raise RefusalError(
            DataCode.VOTES_MISSING,
            f"there is no {file.path}, which says what this key has signed: give --from-height 1 if"
            " it never signed in this network, else a height that the chain has not reached",
            field="from-height",
        )
    if from_height is None:
        assert marks is not None, "checked above"
        return marks
    highest = max((mark.height for mark in (marks or {}).values()), default=0)
    if from_height < highest:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"--from-height {from_height} is below {highest}, which the key has signed at: leave"
            " the option out",
            field="from-height",
            limit=str(highest),
        )
    if from_height > highest:
        marks = first_marks(from_height)
        file.write(marks)
    assert marks is not None, "read, or just made"
    return marks


def _refused(problem: str) -> RefusalError:
    message = f"the signer refuses: {problem}"
    return RefusalError(ApplicationCode.SIGNER_REFUSED, message, field="signer")
