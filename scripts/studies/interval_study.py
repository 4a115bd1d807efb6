"""Measure how many 95 % intervals of `auto` cover the exact values, over families of games.

    python -m scripts.studies.interval_study [--seeds 20] [--per-player 10 20 40] [--jobs 2]
        [--games PATTERN] [--out build/estimators] [--write]

The games are cheap: votes, airports, unanimity and gloves of `scripts/benchmarks/known_games.py`
with up to 51 players, and trained federations of ten clients, in view of the developers (MNIST) and
held out of tuning (digits). The budgets are numbers of evaluations for each player. A budget of all
coalitions is left out, since the values are then exact.

Runs are kept in `OUT/intervals.jsonl`, and a run is repeated only when the estimator changed, so
that an interrupted study goes on where it ended. On two free cores it takes about ten minutes.
`--write` puts the table into docs/BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import os
import platform
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from fedcoin import shapley
from scripts.benchmarks.estimator_games import make_games
from scripts.benchmarks.estimator_methods import fingerprint
from scripts.benchmarks.estimators_report import DOCS
from scripts.benchmarks.known_games import (
    KnownGame,
    make_airport,
    make_electoral_college,
    make_eu_council,
    make_glove,
    make_security_council,
    make_unanimity,
    make_voting_game,
)
from scripts.tools.page_sections import PageSection

SECTION = PageSection("<!-- measured by interval_study.py -->", "<!-- end of the coverage -->")
COLUMNS = (
    "family", "games", "evaluations for each player", "coverage, %", "lowest game, %",
    "runs with under half covered", "error",
)  # fmt: skip

TRAINED = {
    "federations, MNIST, 10 clients": (
        "mnist-iid-3", "mnist-label-skew-1", "mnist-few-labels-1", "mnist-label-noise-3",
        "mnist-unequal-sizes-3", "mnist-feature-noise-3",
    ),
    "federations, digits, 10 clients, held out": (
        "digits-acc-3", "digits-loss-3", "copies-acc-3", "copies-loss-3",
    ),
}  # fmt: skip
"""Names of games of `estimator_games`, by family."""


@dataclass(frozen=True)
class Run:
    """What one estimate measured."""

    key: str
    """The digest of the estimator's sources."""
    family: str
    """A family of the table."""
    game: str
    """The game's name, unique."""
    per_player: int
    """Evaluations for each player."""
    seed: int
    """Seed of the coalitions that were drawn."""
    covered: float
    """The share of the players whose 95 % interval covers the exact value."""
    error: float
    """The L2 distance to the exact values, divided by their L2 norm."""


def make_vote(n: int, seed: int) -> KnownGame:
    """Make a weighted vote: a coalition wins with 55 % of the weights.

    Args:
        n: Number of players.
        seed: Seed of the weights, integers from 1 to 20.

    Returns:
        The game with its exact values.
    """
    weights = np.random.default_rng(seed).integers(1, 21, n).tolist()
    return make_voting_game(f"vote, {n}", weights, int(0.55 * sum(weights)) + 1)


def _make_known_families() -> dict[str, list[KnownGame]]:
    return {
        "UN Security Council, 15 members": [make_security_council()],
        "EU Council, 27 members": [make_eu_council()],
        "US electoral college, 51 members": [make_electoral_college()],
        "weighted votes, 10, 15 and 20": [make_vote(n, n) for n in (10, 15, 20)],
        "airports, 10, 20 and 30": [make_airport(n, n) for n in (10, 20, 30)],
        "unanimity, 10, 20 and 30": [make_unanimity(n, 2 + n // 10) for n in (10, 20, 30)],
        "gloves, 10, 20 and 30": [make_glove(n // 3, n - n // 3) for n in (10, 20, 30)],
    }


@functools.cache
def make_families(folder: Path, pattern: str) -> dict[str, dict[str, KnownGame]]:
    """Make games, once in a process; only those that are asked for are trained.

    Args:
        folder: Where the tables of trained games are kept.
        pattern: The names of the games that are wanted, as for `fnmatch`.

    Returns:
        By family, the games by name; families may be empty.
    """
    families = {
        family: {game.name: game for game in games if fnmatch.fnmatch(game.name, pattern)}
        for family, games in _make_known_families().items()
    }
    for family, names in TRAINED.items():
        wanted = [name for name in names if fnmatch.fnmatch(name, pattern)]
        games = [make_games(folder, name)[name] for name in wanted]
        families[family] = {
            game.name: KnownGame(game.name, game.utility, game.values) for game in games
        }
    return families


def measure_run(
    game: KnownGame, family: str, per_player: int, seed: int, method: str = "auto"
) -> Run:
    """Estimate a game once, and compare with its exact values.

    Args:
        game: The cooperative game with its exact values.
        family: The row of the table that the run belongs to.
        per_player: Evaluations for each player.
        seed: Seed of the coalitions that are drawn.
        method: The estimator, a name that `shapley.estimate` takes.

    Returns:
        What was measured; errors of the size of rounding count as covered.
    """
    n = len(game.values)
    found = shapley.estimate(game.utility, n, method, per_player * n, seed)
    off = np.abs(found.values - game.values)
    tiny = 1e-12 * float(np.abs(game.values).max())
    return Run(
        fingerprint("auto"),
        family,
        game.name,
        per_player,
        seed,
        float(np.mean(off <= 1.96 * found.std_errors + tiny)),
        float(np.linalg.norm(off) / np.linalg.norm(game.values)),
    )


def _measure(folder: Path, family: str, name: str, per_player: int, seed: int) -> Run:
    """Measure one run in a worker, which makes the games itself."""
    return measure_run(make_families(folder, name)[family][name], family, per_player, seed)


def summarise(runs: Iterable[Run]) -> str:
    """Write the table: a row for each family and number of evaluations.

    Args:
        runs: The runs, in any order.

    Returns:
        Markdown. Coverage is the mean over the games, with its standard error over the seeds: the
        intervals of one run are not independent of each other.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.family, run.per_player), []).append(run)
    families = list(dict.fromkeys([*_make_known_families(), *TRAINED]))
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    for family, per_player in sorted(groups, key=lambda key: (families.index(key[0]), key[1])):
        mine = groups[family, per_player]
        lines.append(f"| {family} | {' | '.join(_summarise_group(mine, per_player))} |")
    return "\n".join(lines) + "\n"


def _summarise_group(runs: Sequence[Run], per_player: int) -> list[str]:
    """Write the cells of one family and number of evaluations, but for the family's name."""
    by_game = [
        100 * float(np.mean([run.covered for run in runs if run.game == game]))
        for game in sorted({run.game for run in runs})
    ]
    by_seed = [
        100 * float(np.mean([run.covered for run in runs if run.seed == seed]))
        for seed in sorted({run.seed for run in runs})
    ]
    spread = f" ± {np.std(by_seed, ddof=1) / len(by_seed) ** 0.5:.1f}" if len(by_seed) > 1 else ""
    return [
        str(len(by_game)),
        f"{per_player:,}",
        f"{np.mean(by_game):.0f}{spread}",
        f"{min(by_game):.0f}",
        f"{sum(run.covered < 0.5 for run in runs)} of {len(runs)}",
        f"{np.median([run.error for run in runs]):.2g}",
    ]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds, from 0 on")
    parser.add_argument("--per-player", type=int, nargs="+", default=(10, 20, 40), metavar="K")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    parser.add_argument("--games", default="*", metavar="PATTERN", help="names of games")
    parser.add_argument("--out", type=Path, default=Path("build/estimators"), help="results")
    parser.add_argument("--write", action="store_true", help="write the table to docs/")
    return parser.parse_args()


def _run_all(options: argparse.Namespace, kept: Path) -> list[Run]:
    """Run what is due, and return all runs of this estimator that the options name."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    known = [Run(**json.loads(line)) for line in lines]
    wanted = [
        (family, name, per_player, seed)
        for seed in range(options.seeds)
        for family, games in make_families(options.out / "games", options.games).items()
        for name, game in games.items()
        for per_player in options.per_player
        if per_player * len(game.values) < (1 << len(game.values)) - 2
    ]
    done = {
        (run.family, run.game, run.per_player, run.seed): run
        for run in known
        if run.key == fingerprint("auto")
    }
    with (
        kept.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(options.jobs) as workers,
    ):
        running = [
            workers.submit(_measure, options.out / "games", *one)
            for one in wanted
            if one not in done
        ]
        for future in as_completed(running):
            run = future.result()
            done[run.family, run.game, run.per_player, run.seed] = run
            file.write(json.dumps(asdict(run)) + "\n")
            file.flush()
    return [done[one] for one in wanted]


def main() -> None:
    """Measure what is due, and print or write the table.

    Raises:
        SystemExit: No game has a name like the pattern.
    """
    options = _parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = _run_all(options, options.out / "intervals.jsonl")
    if not runs:
        raise SystemExit(f"no game matches {options.games!r}, or its budgets are all coalitions")
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    text = f"{versions}; seeds 0 to {options.seeds - 1}:\n\n{summarise(runs)}"
    print(text)
    if options.write:
        page = DOCS / "BENCHMARKS.md"
        content = SECTION.replace_in(page.read_text(encoding="utf-8"), text)
        page.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
