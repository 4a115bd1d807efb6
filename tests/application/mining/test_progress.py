"""The progress of a task is logged every few seconds, and told after each batch."""

from __future__ import annotations

import logging

import pytest

from fedcoin.application.mining.progress import LOG_INTERVAL_MS, Progress, logged_regularly


def test_every_progress_is_told_and_one_in_an_interval_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, told = [1_000], list[Progress]()
    report = logged_regularly("3c9a", lambda: now[0], told.append)
    batches = [Progress(samples, 100, float("inf"), 7.0) for samples in range(1, 6)]
    with caplog.at_level(logging.INFO):
        for batch, later_ms in zip(
            batches, (0, LOG_INTERVAL_MS, 1, LOG_INTERVAL_MS, 0), strict=True
        ):
            now[0] += later_ms
            report(batch)
    assert told == batches
    assert caplog.messages == [f"task 3c9a: {batches[1]}", f"task 3c9a: {batches[3]}"]


def test_a_report_that_nobody_takes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    now = [0]
    report = logged_regularly("3c9a", lambda: now[0], None)
    now[0] = LOG_INTERVAL_MS
    with caplog.at_level(logging.INFO):
        report(Progress(1, 1, 0.0, 0.0))
    assert len(caplog.messages) == 1
