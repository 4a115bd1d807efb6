"""An open task with all records that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState, MinerState, TaskState
from fedcoin.v1.task_pb2 import OpenTask


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """An open task with all records that belong to it, read from the state.

    The records are copies: a function that changes one writes it back, or says that its caller
    does.
    """

    task_id: bytes
    """The task's id, 32 bytes."""
    task: TaskState
    """Its present phase, deadline and counts."""
    terms: OpenTask
    """The action that opened it."""
    campaign: CampaignState
    """The campaign that it belongs to."""
    miners: Mapping[bytes, MinerState]
    """By address (20 bytes), in rising order."""

    @classmethod
    def load(cls, context: ExecutionContext, task_id: bytes) -> LoadedTask:
        """Read an open task.

        Args:
            context: The execution of the block.
            task_id: The task's id, 32 bytes.

        Returns:
            The task with its records.
        """
        task = records.TASKS.get(context.state, task_id)
        terms = records.TERMS.get(context.state, task_id)
        assert task is not None, "an open task without a record"
        assert terms is not None, "an open task without terms"
        campaign = records.CAMPAIGNS.get(context.state, terms.campaign_id)
        assert campaign is not None, "a task without a campaign"
        miners = dict(records.MINERS.scan(context.state, task_id))
        return cls(task_id, task, terms, campaign, miners)

    @property
    def price(self) -> int:
        """The round's share of the budget in sap: the sum of its three prices."""
        return self.terms.prices.training + self.terms.prices.aggregation + self.terms.prices.mining

    @property
    def opener(self) -> bytes:
        """The task's opener: it gets the deposit back and the aggregation price; 20 bytes."""
        return self.task.opener or self.campaign.terms.server

    @property
    def is_exact(self) -> bool:
        """Whether the task's schedule is SCHEDULE_EXACT."""
        return self.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT

    @property
    def winner_takes_all(self) -> bool:
        """Whether the winner receives the whole mining price."""
        return self.campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER
