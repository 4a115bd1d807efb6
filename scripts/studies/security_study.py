"""Runs every liar against the real ledger and voting, and the paper's protocol beside them.

    make security-study                      # all of it, and docs/THREATS.md gets its tables
    python scripts/studies/security_study.py --quick # small numbers, to see that it works
    python scripts/studies/security_study.py wins law --json measurement_jobs.json

Everything is drawn from seeds: the same program gives the same numbers. With --write, the tables
between the marks in docs/THREATS.md are replaced.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.studies.security import document_tables, measurement_jobs  # noqa: E402

DOCUMENT = ROOT / "docs" / "THREATS.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", choices=[*measurement_jobs.PARTS, []], help="default: all"
    )
    parser.add_argument("--quick", action="store_true", help="a few trials of each")
    parser.add_argument("--processes", type=int, default=1, help="how many to run at a time")
    parser.add_argument("--json", type=Path, help="write (and add to) the numbers here")
    parser.add_argument("--write", action="store_true", help="put the tables into THREATS.md")
    asked = parser.parse_args()
    jobs = [
        job
        for job in measurement_jobs.jobs(asked.quick)
        if not asked.parts or job.part in asked.parts
    ]
    found: dict[str, Any] = {}
    if asked.json and asked.json.exists():
        found = json.loads(asked.json.read_text())
    started = time.monotonic()
    with ProcessPoolExecutor(asked.processes) as pool:
        for job, rows in zip(jobs, pool.map(measurement_jobs.run, jobs), strict=True):
            found[job.name] = rows
            took = time.monotonic() - started
            print(f"[{took:6.1f} s] {job.name}", file=sys.stderr, flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(found, indent=1) + "\n")
    rendered = document_tables.render(found)
    for name, text in rendered.items():
        print(f"\n## {name}\n\n{text}")
    if asked.write:
        DOCUMENT.write_text(document_tables.put(DOCUMENT.read_text(), rendered))


if __name__ == "__main__":
    main()
