"""Measure what dishonest participants gain and lose, and write the tables of docs/THREATS.md.

    make security-study                                     # everything; writes docs/THREATS.md
    python -m scripts.studies.security_study --quick        # a few trials of each measurement
    python -m scripts.studies.security_study strategies --json study.json

All randomness comes from fixed seeds, so that the same program gives the same numbers. With
`--write`, the tables between the marks in docs/THREATS.md are replaced.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from scripts.studies.security.document_tables import TABLES, render_tables, replace_tables
from scripts.studies.security.measurement_jobs import PARTS, Job, list_jobs, run_job

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "THREATS.md"


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], prog="python -m scripts.studies.security_study"
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--job", action="append", default=[], metavar="NAME", help="run this job only; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="a few trials of each measurement")
    parser.add_argument("--processes", type=int, default=1, help="how many jobs run at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the numbers to this file")
    parser.add_argument("--write", action="store_true", help="replace the document's tables")
    parser.add_argument(
        "--document", type=Path, default=DOCUMENT, metavar="FILE", help="default: docs/THREATS.md"
    )
    parser.add_argument(
        "--list", action="store_true", help="print the jobs and tables as JSON, and measure nothing"
    )
    return parser.parse_args(arguments)


def _measure(jobs: Sequence[Job], processes: int, path: Path | None) -> dict[str, Any]:
    """Run jobs, and keep their numbers in a JSON file after each."""
    numbers: dict[str, Any] = {}
    if path is not None and path.exists():
        numbers = json.loads(path.read_text(encoding="utf-8"))
    started = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        for job, result in zip(jobs, pool.map(run_job, jobs), strict=True):
            numbers[job.name] = result
            elapsed = time.monotonic() - started
            print(f"[{elapsed:6.1f} s] {job.name}", file=sys.stderr, flush=True)
            if path is not None:
                path.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return numbers


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurements that are asked for, and print or write their tables.

    Args:
        arguments: The command line without the program's name; None takes that of the process.
    """
    options = _parse_arguments(arguments)
    jobs = [
        job
        for job in list_jobs(options.quick)
        if (not options.parts or job.part in options.parts)
        and (not options.job or job.name in options.job)
    ]
    if options.list:
        listed = [{"part": job.part, "name": job.name} for job in jobs]
        print(json.dumps({"parts": PARTS, "jobs": listed, "tables": list(TABLES)}))
        return
    tables = render_tables(_measure(jobs, options.processes, options.json))
    for name, text in tables.items():
        print(f"\n## {name}\n\n{text}")
    if options.write:
        document: Path = options.document
        text = replace_tables(document.read_text(encoding="utf-8"), tables)
        document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
