"""Render a devnet's report: one HTML file with its plots, which loads nothing else."""

from __future__ import annotations

from fedcoin import __version__
from fedcoin.application.devnet import report_plots
from fedcoin.application.devnet.results import DevnetResult
from fedcoin.application.rendering.template_environment import make_environment
from fedcoin.learning.measures.terms import NAMES, TERMS


def render_report(result: DevnetResult) -> str:
    """Render `templates/report.html.j2`.

    Args:
        result: The devnet's results.

    Returns:
        The page, in HTML.
    """
    environment = make_environment("fedcoin.application.devnet")
    environment.filters.update(
        utility=lambda round: TERMS[NAMES[round.measure]].format_fraction(round.utility),
        title_of=lambda measure: TERMS[NAMES[measure]].title,
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        result=result,
        names=report_plots.name_clients(result),
        plots=[
            report_plots.plot_values(result),
            report_plots.plot_payouts(result),
            report_plots.plot_utility(result),
            report_plots.plot_shares(result),
        ],
        paid=sum(client.payout for round in result.rounds for client in round.clients),
        version=__version__,
    )
