"""Report validators that contradict themselves, so that the ledger burns their bond."""

from __future__ import annotations

import logging

from fedcoin.application.wallet.transaction_submitter import TransactionSubmitter
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import Vote
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.v1.transaction_pb2 import ReportEquivocation

log = logging.getLogger(__name__)


class EquivocationReporter:
    """Submits a transaction for each pair of contradicting votes.

    Args:
        wallet: Signs and submits with the miner's key, which gets the reward.
        owner: Runs the submissions in the background.
    """

    def __init__(self, wallet: TransactionSubmitter, owner: BackgroundTasks) -> None:
        self._wallet = wallet
        self._owner = owner

    def report(self, first: Vote, second: Vote) -> None:
        """Begin to report two votes; returns at once.

        Args:
            first: A vote.
            second: A vote of the same validator for the same height, round and step, but for
                another block.
        """
        self._owner.start(self._submit(first, second), name="report")

    async def _submit(self, first: Vote, second: Vote) -> None:
        action = ReportEquivocation(first=first.envelope, second=second.envelope)
        try:
            await self._wallet.submit(action)
        except RefusalError as refusal:
            # Other nodes report it as well, and only the first report counts.
            log.info("an equivocation was not reported: %s", refusal)
