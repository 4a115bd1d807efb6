"""`fedcoin-node convert`."""

from __future__ import annotations

from pathlib import Path

import click

from fedcoin.application.cli.shared.options import example, json_option
from fedcoin.application.cli.shared.output import note, print_json, print_table

FILE = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "fedcoin-node convert update.pt update.safetensors",
        "fedcoin-node convert anna.weights.h5 anna.npz --model model.json",
        "fedcoin-node convert patients.csv patients.npz --label outcome --classes alive,dead",
    )
)
@click.argument("source", type=FILE, metavar="IN")
@click.argument("target", type=FILE, metavar="OUT")
@click.option(
    "--model",
    type=FILE,
    help="The model whose weights the file holds: Keras' JSON, .keras or ONNX. They get its names.",
)
@click.option(
    "--num-samples",
    type=click.IntRange(1),
    help="With --model: the client's number of training examples, to write beside its weights.",
)
@click.option("--label", default="", help="The column of a table that holds the labels.")
@click.option(
    "--classes",
    default="",
    metavar="A,B,...",
    help="The classes in the order of their numbers, from 0, where labels are text.",
)
@click.option(
    "--first-label",
    type=click.IntRange(0),
    default=0,
    help="The number of the first class, where classes are not numbered from 0.",
)
@json_option
def convert(
    source: Path,
    target: Path,
    model: Path | None,
    num_samples: int | None,
    label: str,
    classes: str,
    first_label: int,
    as_json: bool,
) -> None:
    """Convert weights or data to npz, safetensors or PyTorch (.pt), and say what was read.

    The ending of OUT names the format that is written; the content of IN decides how it is read.
    """
    import asyncio
    from dataclasses import asdict

    from fedcoin.application.offline.conversion import LabelRules, convert_file

    if model is not None and (label or classes or first_label):
        raise click.UsageError("--model is for weights, and the options for labels are for data")
    if model is None and num_samples is not None:
        raise click.UsageError("--num-samples is for weights: give the model, too (--model)")
    names = tuple(name.strip() for name in classes.split(",")) if classes else ()
    rules = LabelRules(label, names, first_label)
    found = asyncio.run(
        convert_file(
            source,
            target,
            model=model,
            num_samples=num_samples,
            rules=rules if rules != LabelRules() else None,
        )
    )
    if as_json:
        print_json(asdict(found))
        return
    rows = [
        (array.name, array.source, str(array.shape), array.dtype, _range(array.low, array.high))
        for array in found.arrays
    ]
    print_table(("array", "read from", "shape", "dtype", "range"), rows, "lllll")
    note(f"read {source} ({found.kind}), wrote {target}")
    for remark in found.remarks:
        note(remark)


def _range(low: float | None, high: float | None) -> str:
    return "empty" if low is None or high is None else f"{low:g} to {high:g}"
