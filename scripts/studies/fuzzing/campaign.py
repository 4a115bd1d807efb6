"""Run a decoder over many mutated inputs, and find faults."""

from __future__ import annotations

import random
import resource
import time
from dataclasses import dataclass, field
from typing import Final

from scripts.studies.fuzzing.mutations import mutate
from scripts.studies.fuzzing.targets import Target

MAX_CASE_S: Final = 2.0
"""A decoder that takes longer for one case has a fault, in seconds of processor time."""
MAX_GROWTH_BYTES: Final = 256 << 20
"""A decoder whose cases raise the peak of the process' memory by more has a fault, in bytes."""
_MAX_FAULTS: Final = 5


@dataclass(slots=True)
class Findings:
    """What became of the cases of one target."""

    cases: int = 0
    """How many ran."""
    accepted: int = 0
    """How many were decoded; the others were refused, or are faults."""
    slowest_s: float = 0.0
    """The longest processor time of one case, in seconds."""
    growth_bytes: int = 0
    """By how much the process' largest memory grew."""
    faults: list[str] = field(default_factory=list)
    """Sentences about cases that neither were decoded nor refused, or took too much."""


def run_target(target: Target, cases: int, seconds: float, seed: int) -> Findings:
    """Run a decoder over mutated copies of its samples.

    Args:
        target: The decoder.
        cases: How many cases to run.
        seconds: After how long to stop, in seconds.
        seed: The seed; the same one gives the same cases.

    Returns:
        The counts, and the faults up to the fifth.
    """
    rng, found = random.Random(f"{seed}/{target.name}"), Findings()
    before, deadline = _peak_bytes(), time.monotonic() + seconds
    while found.cases < cases and time.monotonic() < deadline and len(found.faults) < _MAX_FAULTS:
        raw = mutate(rng, target.samples)
        _run_case(target, raw, found)
    found.growth_bytes = _peak_bytes() - before
    if found.growth_bytes > MAX_GROWTH_BYTES:
        found.faults.append(f"took {found.growth_bytes >> 20} MiB of memory")
    return found


def _run_case(target: Target, raw: bytes, found: Findings) -> None:
    began = time.thread_time()
    try:
        target.decode(raw)
        found.accepted += 1
    except target.refusals:
        pass
    except Exception as error:
        found.faults.append(f"{type(error).__name__}: {error} for {raw.hex()}")
    took = time.thread_time() - began
    found.cases += 1
    found.slowest_s = max(found.slowest_s, took)
    if took > MAX_CASE_S:
        found.faults.append(f"took {took:.1f} s for {raw.hex()}")


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
