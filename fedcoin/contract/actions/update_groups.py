"""The groups of a task's updates, which a campaign with a similarity limit asks for.

The ledger checks their form. Whether they fit the similarities of the weights is judged by those
who vote for the block (`learning.model.look_alikes`), as the ledger does not read artifacts.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import OpenTask


def check_groups(terms: OpenTask, updates: Sequence[Update], campaign: CampaignState) -> None:
    """Check the form of a task's groups.

    Args:
        terms: The task's terms.
        updates: The task's updates, in the order of the terms.
        campaign: The record of the task's campaign.

    Raises:
        RefusalError: BAD_GROUPS when there is not one group for each update (none in a campaign
            without a similarity limit), a group is not the index of its first update, or equal
            updates have different groups; BAD_AVERAGING when the average is weighted by examples,
            as groups count the same.
    """
    wanted = len(updates) if campaign.terms.similarity_limit_ppm else 0
    if len(terms.groups) != wanted:
        raise _bad_groups(
            "groups",
            f"there are {len(terms.groups)} groups; this campaign needs {wanted}, one for each"
            " update when it has a similarity limit, else none",
        )
    if not wanted:
        return
    if terms.averaging != task_pb2.AVERAGING_EQUAL:
        raise RefusalError(
            LedgerCode.BAD_AVERAGING,
            f"averaging is {terms.averaging}; groups of look-alikes count the same in the average:"
            " use AVERAGING_EQUAL",
            field="averaging",
            limit="AVERAGING_EQUAL",
        )
    group_of: dict[bytes, int] = {}
    for i, (update, group) in enumerate(zip(updates, terms.groups, strict=True)):
        if group > i or terms.groups[group] != group:
            raise _bad_groups(
                f"groups[{i}]", f"groups[{i}] is {group}; it must be the first update of its group"
            )
        if group_of.setdefault(update.update, group) != group:
            raise _bad_groups(
                f"groups[{i}]",
                f"groups[{i}] is {group}, and an equal update is in group"
                f" {group_of[update.update]}: put equal updates into one group",
            )


def _bad_groups(field: str, message: str) -> RefusalError:
    return RefusalError(LedgerCode.BAD_GROUPS, message, field=field)
