"""Render a devnet's report: one HTML file with its plots, which loads nothing else."""

from __future__ import annotations

from fedcoin import __version__
from fedcoin.application.devnet import report_plots
from fedcoin.application.devnet.results import DevnetResult
from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import NAMES, TERMS


def render_report(result: DevnetResult) -> str:
    """Render `templates/report.html.j2`.

    Args:
        result: The devnet's results.

    Returns:
        The page, in HTML.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fedcoin.application.devnet"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        amount=format_amount,
        rounded_amount=lambda sap: f"{sap / SAP_PER_FDC:,.4f} FDC",
        total=lambda sap: f"{sap / SAP_PER_FDC:,.2f} FDC",
        value=lambda nano: f"{nano / 1e9:+.4f}",
        utility=lambda round: TERMS[NAMES[round.measure]].format_fraction(round.utility),
        title_of=lambda measure: TERMS[NAMES[measure]].title,
        short=lambda text: f"{text[:10]}…{text[-6:]}" if len(text) > 18 else text,
        megabytes=lambda count: f"{count / 1e6:.0f} MB",
        counted=format_count,
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
        width=report_plots.WIDTH,
        height=report_plots.HEIGHT,
        left=report_plots.LEFT,
        right=report_plots.WIDTH - report_plots.RIGHT,
        bottom=report_plots.HEIGHT - report_plots.BOTTOM,
    )
