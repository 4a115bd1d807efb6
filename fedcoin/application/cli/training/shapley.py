"""`fedcoin-node shapley`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.options import (
    example,
    json_option,
    scale_option,
    split_list,
    trained_option,
)
from fedcoin.application.cli.shared.output import note, print_json, print_table
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import NAMES, TERMS

if TYPE_CHECKING:
    from fedcoin.application.offline.valuation import Valuation

FILE = click.Path(path_type=Path)
NORMAL_95 = 1.96
"""How many standard errors wide each side of a 95 % interval of a normal distribution is."""

PLOTS = (".png", ".svg", ".pdf")
"""The file name extensions that `--plot` takes."""


@click.command(
    epilog=example(
        "fedcoin-node shapley --model model.json --base base.npz --updates clients --data test.npz",
        "fedcoin-node shapley ... --budget 200 --plot values.png --json",
    )
)
@click.option("--model", type=FILE, required=True, help="Keras' model.to_json(), or an ONNX file.")
@click.option(
    "--base", type=FILE, required=True, help="The file of weights that all clients started from."
)
@click.option(
    "--updates", type=FILE, required=True, help="A folder: a file of weights for each client."
)
@click.option("--data", type=FILE, required=True, help="The evaluation set: a file with x and y.")
@scale_option("the evaluation set's inputs")
@click.option(
    "--method", default="auto", show_default=True, help="The estimator; see docs/SHAPLEY.md."
)
@click.option(
    "--budget", type=click.IntRange(0), help="The maximum number of coalitions to evaluate."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--tolerance",
    type=float,
    help="Stop when each value is known to plus or minus this utility, 0 to 1 (95 %).",
)
@click.option(
    "--utility",
    type=click.Choice(list(NAMES)),
    default="accuracy",
    show_default=True,
    help="What models are measured by; see docs/MEASURES.md.",
)
@trained_option
@click.option("--plot", type=FILE, help=f"Plot the values to this file: {', '.join(PLOTS)}.")
@json_option
def shapley(
    model: Path,
    base: Path,
    updates: Path,
    data: Path,
    scale: float | None,
    method: str,
    budget: int | None,
    seed: int,
    tolerance: float | None,
    utility: str,
    trained: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Compute the Shapley value of each client's weights, without a chain.

    A coalition's model is the average of its clients' weights, weighted by the num_samples in each
    file (each counts the same where none has it). With up to 12 clients, or a budget of all
    coalitions, the values are exact; otherwise they come with 95 % intervals.
    """
    import asyncio

    from fedcoin.application.cli.training.valuation_progress import shown
    from fedcoin.application.offline.valuation import value_files

    if plot is not None:
        _check_plot(plot)
    with shown() as report:
        found = asyncio.run(
            value_files(
                model, base, updates, data,
                method=method, budget=budget, seed=seed, tolerance=tolerance,
                scale=scale or 0.0, utility=NAMES[utility], trained=split_list(trained),
                report=report,
            )
        )  # fmt: skip
    for change in found.model_changes:
        note(f"model: {change}")
    if plot is not None:
        _draw(found, plot)
    if as_json:
        print_json(_plain(found))
        return
    rows = [
        (name, count, f"{value:+.5f}", _interval(value, error))
        for name, count, value, error in zip(
            found.clients,
            found.num_samples,
            found.estimate.values.tolist(),
            found.estimate.std_errors.tolist(),
            strict=True,
        )
    ]
    print_table(("client", "samples", "value", "95 % interval"), rows, "lrrl")
    terms = TERMS[NAMES[found.measure]]
    note(
        f"{found.estimate.method}, {format_count(found.estimate.evaluations, 'coalition')} on "
        f"{format_count(found.examples, 'example')}; {terms.title} "
        f"{terms.format_fraction(found.base_utility)} without clients, "
        f"{terms.format_fraction(found.utility)} with all; "
        f"{found.inputs.describe()}"
    )
    for sentence in (found.note, found.rounding):
        if sentence:
            note(sentence)
    if found.estimate.is_within_tolerance is False:
        note("some intervals are wider than the tolerance; raise --budget or --tolerance")


def _interval(value: float, error: float) -> str:
    if error == float("inf"):
        return "unknown: too few evaluations"
    return f"{value - NORMAL_95 * error:+.5f} to {value + NORMAL_95 * error:+.5f}"


def _plain(found: Valuation) -> dict[str, object]:
    values = found.estimate.values.tolist()
    # JSON has no infinity: the error is null when there were too few evaluations.
    errors = [
        error if error < float("inf") else None for error in found.estimate.std_errors.tolist()
    ]
    return {
        "method": found.estimate.method,
        "evaluations": found.estimate.evaluations,
        "within_tolerance": found.estimate.is_within_tolerance,
        "examples": found.examples,
        "measure": found.measure,
        "base_utility": found.base_utility,
        "utility": found.utility,
        "note": found.note,
        "near_ties": found.near_ties,
        "rounding": found.rounding,
        "inputs": {
            "dtype": found.inputs.dtype,
            "low": found.inputs.low,
            "high": found.inputs.high,
            "divided_by": found.inputs.divisor,
        },
        "clients": [
            {
                "name": name,
                "num_samples": count,
                "value": value,
                "std_error": error,
                "low": None if error is None else value - NORMAL_95 * error,
                "high": None if error is None else value + NORMAL_95 * error,
            }
            for name, count, value, error in zip(
                found.clients, found.num_samples, values, errors, strict=True
            )
        ],
    }


def _check_plot(path: Path) -> None:
    from importlib.util import find_spec

    if path.suffix not in PLOTS:
        raise click.UsageError(f"--plot writes {', '.join(PLOTS)}, not {path.name}")
    if not path.parent.is_dir():
        raise click.UsageError(f"there is no folder {path.parent} for --plot")
    if find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install 'fedcoin[plot]'")


def _draw(found: Valuation, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(found.clients)), layout="constrained")
    axes = figure.add_subplot()
    places = list(range(len(found.clients)))
    errors = [
        NORMAL_95 * error if error < float("inf") else 0.0
        for error in found.estimate.std_errors.tolist()
    ]
    axes.barh(places, found.estimate.values, xerr=errors, color="#4477aa", capsize=3)
    axes.set_yticks(places, found.clients)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"Shapley value ({TERMS[NAMES[found.measure]].title}), with 95 % intervals")
    figure.savefig(path, dpi=150)
