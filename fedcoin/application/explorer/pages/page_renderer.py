"""Render the explorer's pages: pure functions from what is shown to HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from fedcoin.application.explorer.pages import chain_plots, chain_words
from fedcoin.application.explorer.reading.view_models import (
    AddressDetail,
    BlockDetail,
    BlockList,
    CampaignDetail,
    CampaignList,
    Overview,
    PageFailure,
    PageView,
    PendingList,
    ProofForm,
    RoundRow,
    SearchResults,
    TaskDetail,
    TransactionDetail,
)
from fedcoin.application.rendering.template_environment import make_environment
from fedcoin.data.messages.privacy_claims import describe_privacy
from fedcoin.learning.measures.terms import TERMS
from fedcoin.v1.views_pb2 import TaskClientView

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages say about the explorer and its node."""

    chain_id: str
    """The network's name; empty before the node first answered."""
    genesis_hash: str
    """The network's genesis hash, in hex; empty before the node first answered."""
    node: str
    """The node's API, as host:port."""
    version: str
    """The version of this program."""
    is_connected: bool
    """Whether the node's event stream is open."""
    asset_paths: Mapping[str, str]
    """The paths of the style sheet, the scripts and the icon, by their names."""

    def asset(self, name: str) -> str:
        """Return the path of a style sheet, a script or an icon.

        Args:
            name: The file's name.

        Returns:
            The path on the server.
        """
        return self.asset_paths[name]


@cache
def _environment() -> Environment:
    environment = make_environment("fedcoin.application.explorer.pages")
    environment.filters.update(
        phase=chain_words.name_phase,
        payment=chain_words.name_payment,
        schedule=chain_words.name_schedule,
        status=chain_words.name_status,
        action=chain_words.name_action,
        measure=_name_measure,
        hundredth=_describe_hundredth,
        utility=_format_utility,
        privacy=_describe_privacy,
    )
    return environment


_TEMPLATES: Final[dict[type, tuple[str, str]]] = {
    Overview: ("overview", "/"),
    BlockList: ("blocks", "/blocks"),
    BlockDetail: ("block", "/blocks"),
    TransactionDetail: ("transaction", ""),
    PendingList: ("pending", "/pending"),
    CampaignList: ("campaigns", "/campaigns"),
    CampaignDetail: ("campaign", "/campaigns"),
    TaskDetail: ("task", "/campaigns"),
    AddressDetail: ("address", ""),
    SearchResults: ("search", ""),
    ProofForm: ("check", "/check"),
    PageFailure: ("failure", ""),
}
"""The template of each page, and the link in its head that it belongs to."""


def render_page(site: Site, view: PageView) -> str:
    """Render a page.

    Args:
        site: What all pages say.
        view: What this page shows.

    Returns:
        The page, in HTML.
    """
    name, section = _TEMPLATES[type(view)]
    content: dict[str, object] = {}
    if isinstance(view, CampaignDetail):
        content = _plot_campaign(view)
    elif isinstance(view, TaskDetail):
        content = _describe_clients(view)
    elif isinstance(view, AddressDetail):
        content = _sum_earnings(view)
    page = _environment().get_template(f"{name}.html.j2")
    return page.render(site=site, section=section, view=view, **content)


def _plot_campaign(view: CampaignDetail) -> dict[str, object]:
    plots = (chain_plots.plot_utilities(view.rounds), chain_plots.plot_spending(view.rounds))
    return {"plots": [plot for plot in plots if plot is not None]}


def _describe_clients(view: TaskDetail) -> dict[str, object]:
    rows = view.clients
    return {
        "plot": chain_plots.plot_values(rows),
        "has_names": any(row.view.name for row in rows),
        "has_groups": any(row.group_number != row.number for row in rows),
        "has_privacy": any(row.view.HasField("privacy") for row in rows),
    }


def _sum_earnings(view: AddressDetail) -> dict[str, object]:
    totals = {
        name: sum(payment.amount for payment in view.payments if payment.kind == kind)
        for kind, (_, name) in chain_plots.EARNINGS.items()
    }
    earned = [(name, amount) for name, amount in totals.items() if amount]
    return {"plot": chain_plots.plot_earnings(view.payments), "earned": earned}


def _name_measure(utility: int) -> str:
    return TERMS[utility].title if utility in TERMS else "unknown measure"


def _describe_hundredth(utility: int) -> str:
    return TERMS[utility].hundredth if utility in TERMS else "0.01 of the largest utility"


def _format_utility(row: RoundRow | TaskDetail) -> str:
    if row.utility is None:
        return "\N{EN DASH}"
    return TERMS[row.task.utility].format_fraction(row.utility)


def _describe_privacy(client: TaskClientView) -> str:
    return describe_privacy(client.privacy) if client.HasField("privacy") else ""
