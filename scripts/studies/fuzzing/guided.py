"""Run a decoder under atheris, which looks for bytes that reach new code (libFuzzer)."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.studies.fuzzing.mutations import MAX_CASE_BYTES

if TYPE_CHECKING:
    from scripts.studies.fuzzing.targets import Target


def run_guided(name: str, runs: int, seconds: float, seed: int) -> None:
    """Run one target; ends the process, with another exit code than 0 at the first fault.

    Args:
        name: The target's name.
        runs: How many cases to run.
        seconds: After how long to stop, in seconds.
        seed: libFuzzer's seed.

    Raises:
        ImportError: atheris is not installed.
        KeyError: There is no such target.
    """
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["fedcoin"]):
        targets: Any = importlib.import_module("scripts.studies.fuzzing.targets")
    target: Target = {one.name: one for one in targets.list_targets()}[name]

    def one_case(raw: bytes) -> None:
        # Whatever else is raised ends the process, with the case.
        with contextlib.suppress(*target.refusals):
            target.decode(raw)

    with tempfile.TemporaryDirectory() as corpus:
        for number, sample in enumerate(target.samples):
            (Path(corpus) / str(number)).write_bytes(sample)
        limits: Sequence[str] = (
            f"-runs={runs}",
            f"-max_total_time={round(seconds)}",
            f"-seed={seed}",
            f"-max_len={MAX_CASE_BYTES}",
            "-timeout=5",
            "-rss_limit_mb=2048",
        )
        atheris.Setup(["fuzz", *limits, corpus], one_case)
        atheris.Fuzz()
