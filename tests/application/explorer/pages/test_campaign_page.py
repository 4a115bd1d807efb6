"""A campaign's page says who gets its weights."""

from __future__ import annotations

import pytest

from fedcoin.application.explorer.pages.page_renderer import Site, render_page
from fedcoin.application.explorer.reading.view_models import CampaignDetail
from fedcoin.v1.task_pb2 import UTILITY_ACCURACY
from fedcoin.v1.views_pb2 import CampaignView


class AnyAsset(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"/{name}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"is_private": True, "readers": ["fc1a", "fc1b"]}, "and to 2 readers alone"),
        ({"is_private": True}, "the requester and the server alone"),
        ({}, ""),
    ],
)
def test_a_private_campaign_is_shown_as_such(given: dict[str, object], said: str) -> None:
    campaign = CampaignView(campaign_id="ab" * 32, utility=UTILITY_ACCURACY, **given)  # type: ignore[arg-type]
    site = Site("net", "cd" * 32, "127.0.0.1:1", "1", True, AnyAsset())
    page = render_page(site, CampaignDetail(campaign, (), ""))
    assert said in page
    assert ("are sent to the miners" in page) is bool(said)
