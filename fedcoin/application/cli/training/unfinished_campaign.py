"""End a client's command with an error when its campaign ended before its last round."""

from __future__ import annotations

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count


def refuse_early_end(missing_rounds: int) -> None:
    """Fail when a campaign is over and some of its rounds did not take place.

    Args:
        missing_rounds: How many rounds had not come to their end.

    Raises:
        RefusalError: CAMPAIGN_ENDED when there are any.
    """
    if missing_rounds > 0:
        raise RefusalError(
            ApplicationCode.CAMPAIGN_ENDED,
            f"the campaign ended {format_count(missing_rounds, 'round')} before its last one, and"
            " the rest of its budget returns to the requester: ask the coordinator's operator",
            field="campaign",
        )
