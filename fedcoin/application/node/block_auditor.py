"""The voting rule: what a validator checks before it votes for a transaction.

A task's artifacts must be in the store and correct; the challenged leaves of a reveal are evaluated
again. Neither is a rule of the ledger, so a node that replays a certified chain skips both. The
ledger's rules were checked before: evidence is known to be well formed.

The result for a transaction is kept, so that its admission and the votes on every block that
contains it share the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining.claim_audit import audit_claims
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.left_out_updates import check_left_out
from fedcoin.application.node.unpaid_downloads import UnpaidDownloads, wait_until_payable
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.artifact_readers import is_private
from fedcoin.contract.state import records
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.incentive.proof.audit import list_claims
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.v1.task_pb2 import OpenCampaign

ARTIFACT_SECONDS = 30.0
"""How long to wait for a task's artifacts before voting against it, in seconds."""

MAX_VERDICTS = 1024
"""The number of transactions whose audit result is kept in memory."""

TRANSIENT_CODES: frozenset[Enum] = frozenset(
    {
        DataCode.UNKNOWN_ARTIFACT,
        DataCode.STORE_FULL,
        LearningCode.MISSING_PACKAGE,
        LearningCode.OVERDUE,
        ApplicationCode.PROCESS_FAILED,
        ApplicationCode.TOO_MANY_DOWNLOADS,
        LedgerCode.UNKNOWN_CAMPAIGN,
    }
)
"""Refusals that say nothing about the transaction, which is checked again the next time."""

_OPEN_TASK = "open_task"
_OPEN_CAMPAIGN = "open_campaign"
_REVEAL = "reveal_shapley"


@dataclass(slots=True)
class _Verdict:
    """The audit result of one transaction. The asyncio task that computes it holds the lock."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    known: bool = False
    refusal: RefusalError | None = None


class BlockAudit(Protocol):
    """The voting rule for a block: what a validator checks beyond the ledger's rules."""

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Check the transactions of a block.

        Args:
            transactions: All transactions of the block, in order.

        Raises:
            RefusalError: A code of `Auditor.check_transaction`, such as UNKNOWN_ARTIFACT or
                AUDIT_FAILED: this node must vote against the block.
        """


class Auditor:
    """Audits tasks and reveals, each once. All methods must be called on one event loop.

    Args:
        chain: The node's chain.
        jobs: Opens tasks in the worker processes.
        artifact_seconds: How long to wait for a task's artifacts, in seconds.
    """

    def __init__(
        self, chain: Chain, jobs: TaskJobs, artifact_seconds: float = ARTIFACT_SECONDS
    ) -> None:
        self._chain = chain
        self._jobs = jobs
        self._artifact_seconds = artifact_seconds
        self._downloads = UnpaidDownloads(chain)
        self._verdicts: LruDict[bytes, _Verdict] = LruDict(MAX_VERDICTS)

    @property
    def num_verdicts(self) -> int:
        """The number of transactions whose audit result is in memory, at most `MAX_VERDICTS`."""
        return len(self._verdicts)

    def can_judge(self, transaction: Transaction, address: bytes) -> bool:
        """Tell whether this node can get the artifacts of a task that is to be opened.

        Args:
            transaction: An OpenTask.
            address: The address of this node's key, 20 bytes.

        Returns:
            False when its campaign is private, the artifacts are not here, and the key may not
            fetch them.
        """
        try:
            assignment = self._assign(transaction, {})
        except RefusalError:
            return True
        return (
            not assignment.is_private
            or self._jobs.has_artifacts(assignment)
            or self._chain.may_read(assignment.room, address)
        )

    async def check_transaction(self, transaction: Transaction) -> None:
        """Audit one transaction: check the artifacts of a task, or recompute utilities of a reveal.

        Transactions of any other type pass.

        Args:
            transaction: The decoded and verified transaction, which the ledger has admitted.

        Raises:
            RefusalError: The ledger's code when an OpenTask cannot be paid for with the latest
                state; TOO_MANY_DOWNLOADS when this node has downloaded for too many like it.
                Otherwise this node would vote against a block with it: UNKNOWN_ARTIFACT when an
                artifact of an OpenTask cannot be fetched; a code of `job_checks.check_job_files`,
                such as WRONG_AGGREGATE, when one is not valid; RECEIPT_LEFT_OUT when a client's
                OpenTask lacks a registered update; AUDIT_FAILED when a utility of a RevealShapley
                is wrong; PROCESS_FAILED when the worker processes failed.
        """
        if transaction.body.WhichOneof("action") == _OPEN_TASK:
            await self._admit_download(transaction)
        await self._check(transaction, {})

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Audit all tasks and reveals of a block, as `check_transaction` does for one.

        Args:
            transactions: All transactions of a block. The ledger must have executed the block
                without an error.

        Raises:
            RefusalError: A code of `check_transaction`, such as UNKNOWN_ARTIFACT or AUDIT_FAILED:
                this node must vote against the block.
        """
        # Most transactions are transfers, which are passed over at once.
        named = [(action_name(transaction.body), transaction) for transaction in transactions]
        opened = {
            transaction.hash: transaction.body.open_campaign
            for action, transaction in named
            if action == _OPEN_CAMPAIGN
        }
        unknown: RefusalError | None = None
        for transaction in [one for action, one in named if action in (_OPEN_TASK, _REVEAL)]:
            try:
                await self._check(transaction, opened)
            except RefusalError as refusal:
                # A transaction that cannot be audited must not hide one that is unsound.
                if refusal.code not in TRANSIENT_CODES:
                    raise
                unknown = refusal
        if unknown is not None:
            raise unknown

    async def _check(self, transaction: Transaction, opened: dict[bytes, OpenCampaign]) -> None:
        action = transaction.body.WhichOneof("action")
        if action not in (_OPEN_TASK, _REVEAL):
            return
        verdict = self._verdicts.get_or_create(transaction.hash, _Verdict)
        async with verdict.lock:
            if not verdict.known:
                verdict.refusal = await self._find_out(transaction, opened)
                verdict.known = (
                    verdict.refusal is None or verdict.refusal.code not in TRANSIENT_CODES
                )
            found = verdict.refusal
        if found is not None:
            # A copy: an exception that is raised again and again would collect tracebacks.
            raise copy(found)

    async def _admit_download(self, transaction: Transaction) -> None:
        """Refuse to download artifacts for a task whose sender could avoid paying for it."""
        verdict = self._verdicts.get(transaction.hash)
        if verdict is not None and verdict.known:
            return
        await wait_until_payable(self._chain, transaction, self._artifact_seconds)
        if not self._jobs.has_artifacts(self._assign(transaction, {})):
            self._downloads.admit(transaction)

    async def _find_out(
        self, transaction: Transaction, opened: dict[bytes, OpenCampaign]
    ) -> RefusalError | None:
        try:
            if transaction.body.WhichOneof("action") == _OPEN_TASK:
                await self._check_task(transaction, opened)
            else:
                await self._check_reveal(transaction)
        except RefusalError as refusal:
            return refusal
        except WorkerError as failure:
            return RefusalError(
                ApplicationCode.PROCESS_FAILED,
                f"this node's worker could not look into the transaction: {failure}",
                field=str(transaction.body.WhichOneof("action")),
            )
        return None

    async def _check_task(
        self, transaction: Transaction, opened: dict[bytes, OpenCampaign]
    ) -> None:
        assignment = self._assign(transaction, opened)
        await self._jobs.check(assignment, self._artifact_seconds)
        reader = self._chain.ledger.reader
        campaign = records.CAMPAIGNS.get(reader, assignment.terms.campaign_id)
        if campaign and transaction.sender != campaign.terms.server:
            await check_left_out(reader, self._jobs, assignment)

    def _assign(self, transaction: Transaction, opened: Mapping[bytes, OpenCampaign]) -> Assignment:
        """Describe a task that is not open yet; `opened` are the terms of new campaigns, by id."""
        terms = transaction.body.open_task
        campaign = records.CAMPAIGNS.get(self._chain.ledger.reader, terms.campaign_id)
        promised = campaign.terms if campaign else opened.get(terms.campaign_id)
        if promised is None:
            raise _unknown("campaign", LedgerCode.UNKNOWN_CAMPAIGN, terms.campaign_id)
        limit = promised.similarity_limit_ppm
        is_private = promised.HasField("readers")
        return Assignment(transaction.hash, terms, promised.model, limit, is_private)

    async def _check_reveal(self, transaction: Transaction) -> None:
        action, reader = transaction.body.reveal_shapley, self._chain.ledger.reader
        if not action.evidence.leaves:
            # An opening claims nothing that could be looked into before its leaves are shown.
            return
        terms = records.TERMS.get(reader, action.task_id)
        campaign = terms and records.CAMPAIGNS.get(reader, terms.campaign_id)
        if not terms or not campaign:
            raise _unknown("task", LedgerCode.UNKNOWN_TASK, action.task_id)
        private = is_private(campaign)
        assignment = Assignment(action.task_id, terms, campaign.terms.model, is_private=private)
        plan = build_plan(terms, action.task_id, transaction.public_key)
        claims = await asyncio.to_thread(list_claims, action.evidence, plan)
        async with self._jobs.opened(assignment, self._artifact_seconds, urgent=True) as utility:
            per_ten_thousand = self._chain.genesis.parameters.utility_tolerance
            await audit_claims(claims, utility, terms.evaluation.size, per_ten_thousand)


class ObserverAudit:
    """The audit of a node that does not vote: it checks tasks and skips reveals.

    It passes tasks of private campaigns whose artifacts it may not have: validators judge them.

    Args:
        auditor: Checks the tasks.
        address: The address of this node's key, 20 bytes.
    """

    def __init__(self, auditor: Auditor, address: bytes) -> None:
        self._auditor = auditor
        self._address = address

    async def check_transaction(self, transaction: Transaction) -> None:
        """Implement `TransactionAudit.check_transaction`: audit tasks only, where it can.

        Transactions of any other type pass without a check.
        """
        if action_name(transaction.body) != _OPEN_TASK:
            return
        if self._auditor.can_judge(transaction, self._address):
            await self._auditor.check_transaction(transaction)

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Implement `BlockAudit.check_block`: do nothing; only nodes that vote call it."""


def _unknown(what: str, code: LedgerCode, id: bytes) -> RefusalError:
    return RefusalError(
        code, f"there is no {what} {id.hex()[:64]} on this chain", field=f"{what}_id"
    )
