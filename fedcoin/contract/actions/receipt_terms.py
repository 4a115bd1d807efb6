"""What a task may ask for in a campaign with a receipt window.

Windows, attempts and work are bounded, so that nobody ends a round's receipts, or holds them up,
with a task that miners do not take.
"""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.tasks.task_pricing import compute_windows_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_range
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import OpenTask

MIN_COMMIT_WINDOW_MS: Final = 30_000
"""The shortest commit window of a task in a campaign with a receipt window, in ms."""
MIN_REVEAL_WINDOW_MS: Final = 10_000
"""The shortest reveal window of such a task, in ms."""
MIN_RECEIPT_ATTEMPTS: Final = 2
"""The smallest number of attempts of such a task."""
MIN_RECEIPT_SAMPLES: Final = 1_000
"""The smallest `max_samples` of a task that a client opens and that samples."""
MAX_RECEIPT_SAMPLES: Final = 5_000
"""The largest `max_samples` of such a task."""
MAX_EXACT_CLIENTS: Final = 12
"""The most updates of such a task with the exact schedule."""
MAX_TASK_MS: Final = 3_600_000
"""The most time for all windows of such a task, in ms, or the receipt window where it is longer."""
_MAX: Final = 2**63 - 1


def check_receipt_windows(terms: OpenTask, campaign: CampaignState) -> None:
    """Check windows and attempts of a task in a campaign with a receipt window.

    A task that is made to fail at once would end the round before clients can register. While a
    task is open, nobody can open another one for the same round.

    Args:
        terms: The task's terms.
        campaign: The record of the task's campaign, which has a receipt window.

    Raises:
        RefusalError: BAD_WINDOW when the commit or reveal window is shorter than its minimum, or
            all windows together are longer than `MAX_TASK_MS` and the receipt window; BAD_ATTEMPTS
            when there are fewer than `MIN_RECEIPT_ATTEMPTS`.
    """
    code = LedgerCode.BAD_WINDOW
    check_range(terms.commit_window_ms, MIN_COMMIT_WINDOW_MS, _MAX, "commit_window_ms", code=code)
    check_range(terms.reveal_window_ms, MIN_REVEAL_WINDOW_MS, _MAX, "reveal_window_ms", code=code)
    check_range(
        terms.max_attempts, MIN_RECEIPT_ATTEMPTS, _MAX, "max_attempts", code=LedgerCode.BAD_ATTEMPTS
    )
    limit_ms = max(MAX_TASK_MS, campaign.terms.receipt_window_ms)
    windows_ms = compute_windows_ms(terms)
    if windows_ms > limit_ms:
        raise RefusalError(
            code,
            f"all windows of all attempts take {windows_ms} ms; in a campaign with a receipt window"
            f" of {campaign.terms.receipt_window_ms} ms they take at most {limit_ms} ms",
            field="commit_window_ms",
            limit=str(limit_ms),
        )


def check_client_terms(terms: OpenTask) -> None:
    """Check the terms on which a client opens a task in the server's place.

    Such a task averages with equal weights, gives the empty coalition the base model, cuts no walk
    off, and has `MIN_RECEIPT_SAMPLES` to `MAX_RECEIPT_SAMPLES` samples or, with up to
    `MAX_EXACT_CLIENTS` updates, the exact schedule. That leaves a client no choice by which it
    would gain at the cost of others, or end their receipts. A client that could ask for much work
    would open a task that no miner takes, which holds the escrow and then fails.

    Args:
        terms: The terms of a task that a client opens.

    Raises:
        RefusalError: BAD_AVERAGING when one of these terms is another.
    """
    sampling = terms.sampling
    if sampling.schedule == task_pb2.SCHEDULE_EXACT:
        is_fair_work = len(terms.updates) <= MAX_EXACT_CLIENTS
    else:
        is_fair_work = MIN_RECEIPT_SAMPLES <= sampling.max_samples <= MAX_RECEIPT_SAMPLES
    is_fair = (
        is_fair_work
        and terms.averaging == task_pb2.AVERAGING_EQUAL
        and terms.empty_coalition == task_pb2.EMPTY_COALITION_BASE_MODEL
        and sampling.truncation == 0
    )
    if not is_fair:
        raise RefusalError(
            LedgerCode.BAD_AVERAGING,
            "a task that a client opens has equal weights (AVERAGING_EQUAL), the base model as"
            f" empty coalition, no truncation, and {MIN_RECEIPT_SAMPLES} to {MAX_RECEIPT_SAMPLES}"
            f" samples or, with at most {MAX_EXACT_CLIENTS} updates, the exact schedule",
            field="averaging",
            limit="AVERAGING_EQUAL",
        )
