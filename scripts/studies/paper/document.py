"""Write the study's tables, and put them and the figures into the documentation."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from scripts.studies.paper import figures, published
from scripts.studies.paper.figures import Series
from scripts.studies.paper.measurements import PaymentRow, RaceRow, TypeRow
from scripts.studies.paper.networks import Scale
from scripts.studies.security.markdown_table import render_table
from scripts.tools.page_sections import PageSection

TABLES = PageSection(
    "<!-- measured by paper_study.py -->", "<!-- end of the paper's measurement -->"
)
FIGURES = ("paper-values", "paper-accuracy", "paper-iterations")
"""The names of the drawings, without `.svg`."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All numbers of one study."""

    scale: Scale
    seed: int
    # The accuracy of the aggregate, and of how many coalitions the miners proved the utility.
    aggregate_accuracy: float
    evaluations: int
    # Of the network of figures 4 and 5, with training.
    seconds: float
    types: tuple[TypeRow, ...]
    variance: float
    races: tuple[RaceRow, ...]
    race_iterations: int
    payments: tuple[PaymentRow, ...]


def render_tables(findings: Findings) -> str:
    """Write the tables of the study's page.

    Args:
        findings: All numbers of the study.

    Returns:
        Markdown.
    """
    return "\n\n".join(
        [
            _conditions(findings),
            _type_table(findings),
            f"V, the variance of one order's marginal contributions, is {findings.variance:.4f}:",
            _race_table(findings),
            "The prototype's numbers (7 clients, 5 miners, D = 1.5, 1,000 coins) on the digits. "
            f"The printed race ends after {_count(findings.race_iterations, 'iteration')}:",
            _payment_table(findings),
        ]
    )


def draw_figures(findings: Findings) -> dict[str, str]:
    """Draw the figures of the study's page.

    Args:
        findings: All numbers of the study.

    Returns:
        SVG by the figure's name, in the order of `FIGURES`.
    """
    kinds = [f"T{row.kind}" for row in findings.types]
    return dict(
        zip(
            FIGURES,
            (
                figures.draw_bars(
                    "Mean Shapley value by type (figure 4)",
                    kinds,
                    [
                        _by_type("this network", [row.value for row in findings.types]),
                        _by_type("the paper, by eye", published.VALUES_BY_TYPE),
                    ],
                ),
                figures.draw_bars(
                    "Accuracy of single clients by type (figure 5)",
                    kinds,
                    [
                        _by_type("this network", [row.accuracy for row in findings.types]),
                        _by_type("the paper, by eye", published.accuracy_by_type()),
                    ],
                ),
                figures.draw_lines(
                    "Iterations of the printed algorithm's winner (figure 6)",
                    "-log10 D",
                    [
                        Series("printed algorithm", _races(findings.races, "iterations")),
                        Series("the paper, by eye", published.ITERATIONS),
                        Series("V (1 - 1/R) / D^2", _races(findings.races, "law")),
                    ],
                ),
            ),
            strict=True,
        )
    )


def write(findings: Findings, document: Path) -> None:
    """Replace the tables between the marks of a page, and the figures beside it.

    Args:
        findings: All numbers of the study.
        document: The page, with the section `TABLES`; figures go to its folder's `benchmarks`.
    """
    text = TABLES.replace_in(document.read_text(encoding="utf-8"), render_tables(findings))
    document.write_text(text, encoding="utf-8")
    folder = document.parent / "benchmarks"
    folder.mkdir(exist_ok=True)
    for name, drawn in draw_figures(findings).items():
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")


def _conditions(findings: Findings) -> str:
    scale = findings.scale
    versions = [f"{name} {metadata.version(name)}" for name in ("numpy", "grpcio")]
    return (
        f"Python {platform.python_version()}, {', '.join(versions)}; seed {findings.seed}; "
        f"{scale.clients} clients with at most {scale.examples} examples of {scale.dataset}, "
        f"{scale.epochs} epochs; utilities on {scale.evaluation_size or 'all'} test examples; 3 "
        f"miners proved {findings.evaluations:,} coalitions. The network ran for "
        f"{findings.seconds:.0f} s. The aggregate's accuracy is {findings.aggregate_accuracy:.3f}; "
        f"in the paper it is about {published.AGGREGATE_ACCURACY}."
    )


def _type_table(findings: Findings) -> str:
    return render_table(
        [
            "type", "clients", "examples", "value", "value, paper", "accuracy", "accuracy, paper",
            "paid, FDC",
        ],
        [
            [
                f"T{row.kind}", row.clients, f"{row.examples:.0f}", f"{row.value:+.4f}",
                f"{value:+.3f}", f"{row.accuracy:.3f}", f"{accuracy:.2f}", f"{row.payout:.2f}",
            ]
            for row, value, accuracy in zip(
                findings.types, published.VALUES_BY_TYPE, published.accuracy_by_type(), strict=True
            )
        ],
    )  # fmt: skip


def _race_table(findings: Findings) -> str:
    return render_table(
        ["D", "-log10 D", "iterations", "V (1 - 1/R) / D^2"],
        [
            [
                f"{row.difficulty:.4f}",
                f"{-math.log10(row.difficulty):.2f}",
                f"{row.iterations:,.0f}",
                f"{row.law:,.1f}",
            ]
            for row in findings.races
        ],
    )


def _payment_table(findings: Findings) -> str:
    return render_table(
        [
            "client", "value here", "paid here, FDC", "exact value, the paper's rules",
            "value of its race", "due by algorithm 3, coins", "recorded by the prototype",
        ],
        [
            [
                row.client, f"{row.value:+.4f}", f"{row.payout:.2f}", f"{row.exact_value:+.4f}",
                f"{row.race_value:+.4f}", f"{row.race_payout:.2f}", "0",
            ]
            for row in findings.payments
        ],
    )  # fmt: skip


def _by_type(name: str, values: Sequence[float]) -> Series:
    return Series(name, tuple((float(x), y) for x, y in enumerate(values)))


def _races(rows: Sequence[RaceRow], field: str) -> tuple[tuple[float, float], ...]:
    return tuple((-math.log10(row.difficulty), float(getattr(row, field))) for row in rows)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
