"""Commands that wait for a block say what they wait for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from fedcoin.application.cli.shared import waiting
from fedcoin.application.node.watching.certificate_watch import DAY_MS
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from tests.support.waiting import until


def status(connected: int, total: int, **others: Any) -> GetStatusResponse:
    return GetStatusResponse(
        connected_power=connected * SAP_PER_FDC, total_power=total * SAP_PER_FDC, **others
    )


class Client:
    """A node's client that answers with one status, and counts how often it is asked."""

    def __init__(self, answer: GetStatusResponse) -> None:
        self._answer = answer
        self.calls = 0

    async def get_status(self) -> GetStatusResponse:
        self.calls += 1
        return self._answer


@pytest.mark.parametrize(("connected", "is_short"), [(0, True), (2, True), (3, False)])
def test_more_than_two_thirds_of_the_power_is_enough(connected: int, is_short: bool) -> None:
    assert bool(waiting.power_shortage(status(connected, 3))) is is_short


def test_the_explanation_names_what_is_missing() -> None:
    missing = waiting.explanation(status(1, 2))
    assert "1 FDC of the voting power of 2 FDC are connected" in missing
    fetching = waiting.explanation(status(2, 2, catching_up=True, height=7))
    assert "fetching blocks, now at height 7" in fetching
    rate = {"sync_target_height": 9, "sync_blocks_per_second": 0.5, "sync_seconds_left": 4.0}
    fetching = waiting.explanation(status(2, 2, catching_up=True, height=7, **rate))
    assert "now at height 7 (catching up to 9, 0 blocks/s, 4 s left)" in fetching
    pending = waiting.explanation(status(2, 2, pending_transactions=3, height=7))
    assert "height 7 with 3 pending transactions" in pending


async def test_a_long_wait_is_explained_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "CAUSE_SECONDS", 0.0)
    client: Any = Client(status(1, 2))
    shown = ""

    def is_explained() -> bool:
        nonlocal shown
        shown += capsys.readouterr().err
        return "Still waiting: only validators with 1 FDC" in shown

    async with waiting.explained_wait(client):
        await until(is_explained)


async def test_without_a_known_cause_it_is_explained_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "CAUSE_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 600.0)
    client = Client(status(2, 2, height=7))
    async with waiting.explained_wait(cast(Any, client)):
        await until(lambda: client.calls == 1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.0)
    async with waiting.explained_wait(cast(Any, client)):
        await until(lambda: "node is at height 7" in capsys.readouterr().err)


async def test_a_short_wait_is_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    client: Any = object()
    async with waiting.explained_wait(client):
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("days", "warning"),
    [
        (None, ""),
        (30.1, ""),
        (29.9, "expires in 29.9 days"),
        (2.5, "expires in 2.5 days"),
        (0, "has expired"),
    ],
)
def test_a_certificate_that_expires_soon_is_named(days: float | None, warning: str) -> None:
    now_ms = 1_800_000_000_000
    expiry_ms = 0 if days is None else now_ms + round(days * DAY_MS)
    found = waiting.certificate_warning(status(1, 1, tls_expiry_ms=expiry_ms), now_ms)
    assert found == (f"the node's certificate {warning}" if warning else "")
