"""Print the tables of docs/MEASURES.md: differences between engines, and forged values found.

    python -m scripts.studies.measure_study [digits | mnist] ...

Takes about five minutes for each data set; `mnist` is the file that FEDCOIN_MNIST names.
"""

from __future__ import annotations

import sys

from fedcoin.testing.measure_audits.measure_differences import (
    MeasureDifference,
    measure_differences,
)

HEAD = (
    "| measure | examples | tolerance | largest honest difference | forged refused: "
    "line | forged refused: other coalitions |\n| --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Measure the data sets that the command line names, and print their tables."""
    for dataset in sys.argv[1:] or ["digits"]:
        print(f"{dataset}:\n\n{HEAD}", flush=True)
        for row in measure_differences(dataset):
            print(_format(row), flush=True)


def _format(row: MeasureDifference) -> str:
    honest = f"{row.max_difference:,}"
    if row.max_difference:
        honest += f" ({row.how})"
    return (
        f"| `{row.measure}` | {row.size:,} | {row.tolerance:,} | {honest} | "
        f"{row.refused_lines:.1%} | {row.refused_swaps:.1%} |"
    )


if __name__ == "__main__":
    main()
