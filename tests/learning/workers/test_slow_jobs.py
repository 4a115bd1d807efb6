from __future__ import annotations

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.workers.slow_jobs import OVERDUE_SECONDS, SlowJobs


def test_a_job_that_was_too_slow_is_refused_from_then_on() -> None:
    closed: list[bytes] = []
    slow = SlowJobs(closed.append)
    with pytest.raises(RefusalError, match="took too long"), slow.watch(b"slow"):
        raise RefusalError(LearningCode.TOO_SLOW, "took too long", field="job")
    assert closed == [b"slow"]
    entered = []
    with pytest.raises(RefusalError, match="took too long"), slow.watch(b"slow"):
        entered.append(b"slow")
    with slow.watch(b"other"):
        entered.append(b"other")
    assert entered == [b"other"]


def test_other_refusals_are_not_remembered() -> None:
    closed: list[bytes] = []
    slow = SlowJobs(closed.append)
    with pytest.raises(RefusalError), slow.watch(b"job"):
        raise RefusalError(LearningCode.BAD_MODEL, "no model", field="model")
    with slow.watch(b"job"):
        pass
    assert closed == []


def test_a_job_that_was_overdue_is_tried_again_when_the_machine_may_be_idle() -> None:
    """Else a validator that was flooded for a moment could never audit the job's reveals."""
    now = 0.0
    slow = SlowJobs(lambda _: None, lambda: now)
    with pytest.raises(RefusalError), slow.watch(b"job"):
        raise RefusalError(LearningCode.OVERDUE, "took too long", field="model")
    now = OVERDUE_SECONDS - 1
    with pytest.raises(RefusalError, match="took too long"), slow.watch(b"job"):
        pass
    now = OVERDUE_SECONDS
    with slow.watch(b"job"):
        pass
