"""A campaign is closed through a real node, and its budget returns."""

from __future__ import annotations

from typing import Any

from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live
from tests.support.small_campaign import open_campaign


def test_the_requester_closes_a_campaign_and_gets_its_budget_back(fedcoin: Any, live: Live) -> None:
    home = ("--home", live.home.root)
    campaign = open_campaign(live)
    before = fedcoin("account", *home, "--json").json["balance"]
    short = fedcoin("task", "close", campaign[:8], *home)
    assert (short.code, "BAD_ARGUMENT" in short.err) == (2, True)
    assert f"with these begins: {campaign}" in short.err
    unknown = fedcoin("task", "close", "abcdef0123", *home)
    assert "no campaign that the node lists" in unknown.err
    stranger = fedcoin("task", "close", campaign, *home, "--key", "alice")
    assert stranger.code == 1
    assert "NOT_THE_REQUESTER" in stranger.err
    closed = fedcoin("task", "close", campaign, *home, "--json")
    assert closed.code == 0, closed.err
    after = fedcoin("account", *home, "--json").json["balance"]
    assert SAP_PER_FDC - SAP_PER_FDC // 100 < after - before < SAP_PER_FDC  # Less the fee.
    again = fedcoin("task", "close", campaign, *home)
    assert again.code == 1
    assert "CAMPAIGN_CLOSED" in again.err
