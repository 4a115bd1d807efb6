"""Fuzz each decoder of bytes from strangers: each case is decoded or refused, in bounded time.

Prints for each decoder how many cases ran and were accepted, the slowest one and the growth of the
memory, and exits with 1 when there is a fault. The cases are mutated copies of valid bytes, drawn
by seed. `--guided NAME` runs one decoder under atheris instead, which must be installed.
"""

from __future__ import annotations

import argparse
import sys

from scripts.studies.fuzzing.guided import run_guided


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000, help="cases for each decoder")
    parser.add_argument("--seconds", type=float, default=300.0, help="the longest time for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="NAME", action="append", help="only this decoder")
    parser.add_argument("--guided", metavar="NAME", help="run this decoder under atheris")
    return parser.parse_args()


def main() -> int:
    """Fuzz and print.

    Returns:
        The exit status: 1 when there is a fault.
    """
    arguments = _parse_arguments()
    if arguments.guided:
        run_guided(arguments.guided, arguments.cases, arguments.seconds, arguments.seed)
        return 0
    # Imported late, so that atheris can watch it.
    from scripts.studies.fuzzing.campaign import run_target
    from scripts.studies.fuzzing.targets import list_targets

    is_faulty = False
    for target in list_targets():
        if arguments.only and target.name not in arguments.only:
            continue
        found = run_target(target, arguments.cases, arguments.seconds, arguments.seed)
        print(
            f"{target.name:<20}{found.cases:>8} cases{found.accepted:>8} accepted"
            f"{1000 * found.slowest_s:>9.1f} ms{found.growth_bytes >> 20:>6} MiB"
            f"{len(found.faults):>4} faults",
            flush=True,
        )
        for fault in found.faults:
            print(f"  {fault[:2_000]}")
        is_faulty = is_faulty or bool(found.faults)
    return int(is_faulty)


if __name__ == "__main__":
    sys.exit(main())
