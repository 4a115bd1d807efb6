"""Measure how fast a node of one checkout fetches a chain from its peers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from nacl.signing import SigningKey

from fedcoin.network.client.node_client import NodeClient
from scripts.benchmarks.node_load.measurement import cpu_seconds, interpreter

_SCRIPT: Final = Path(__file__).resolve().with_name("catch_up_network.py")
_POLL_S, _SERVE_S, _LIMIT_S, _LIVE_S = 0.02, 60.0, 600.0, 5.0
_VERIFICATIONS = 3_000


@dataclass(frozen=True, slots=True)
class CatchUpPlan:
    """The chain that is fetched, and those that serve it."""

    blocks: int
    """How many blocks the node is behind."""
    per_block: int
    """How many transfers each of them holds."""
    sources: int
    """How many nodes serve them, at most three."""
    live: bool
    """Whether one of them goes on making blocks."""


def measure_verification() -> float:
    """Measure how many Ed25519 signatures PyNaCl verifies a second on one core.

    Returns:
        Signatures of 32-byte digests for each second of processor time.
    """
    key = SigningKey.generate()
    signed, public = key.sign(bytes(32)), key.verify_key
    began = time.thread_time()
    for _ in range(_VERIFICATIONS):
        public.verify(signed)
    return _VERIFICATIONS / (time.thread_time() - began)


def measure_catch_up(checkout: Path, plan: CatchUpPlan) -> dict[str, float]:
    """Build a chain with one checkout, and let a node of it fetch the chain.

    Args:
        checkout: The checkout's root folder.
        plan: What to measure.

    Returns:
        Numbers by name; a name says its unit.
    """
    with tempfile.TemporaryDirectory() as root, _network(checkout, plan, Path(root)) as process:
        sources = _read(process)
        return asyncio.run(_measure(process, sources, plan))


@contextmanager
def _network(checkout: Path, plan: CatchUpPlan, root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [interpreter(checkout), str(_SCRIPT), json.dumps({"root": str(root), **asdict(plan)})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _read(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the network did not start")
    found: dict[str, Any] = json.loads(line)
    return found


async def _measure(
    process: subprocess.Popen[str], sources: dict[str, Any], plan: CatchUpPlan
) -> dict[str, float]:
    for api in sources["apis"]:
        async with NodeClient(api) as node:
            await node.wait_until_serving(_SERVE_S)
    found: dict[str, float] = {}
    if plan.live:
        found["source_blocks_per_second_alone"] = await _live_rate(sources["apis"][0])
    assert process.stdin is not None
    process.stdin.write("late\n")
    process.stdin.flush()
    late = _read(process)
    return found | await _fetching(late, sources, plan)


async def _live_rate(api: str) -> float:
    async with NodeClient(api) as node:
        before, began = (await node.get_status()).height, time.monotonic()
        await asyncio.sleep(_LIVE_S)
        return ((await node.get_status()).height - before) / (time.monotonic() - began)


async def _fetching(
    late: dict[str, Any], sources: dict[str, Any], plan: CatchUpPlan
) -> dict[str, float]:
    async with NodeClient(late["apis"][0]) as node, NodeClient(sources["apis"][0]) as source:
        await node.wait_until_serving(_SERVE_S)
        began_at, height = (await source.get_status()).height, 0
        began, used = time.monotonic(), (_cpu(late["pids"]), _cpu(sources["pids"]))
        first = 0
        while height < began_at:
            height = (await node.get_status()).height
            if not first and height:
                # The handshake is over; count from here.
                first, began = height, time.monotonic()
                used = _cpu(late["pids"]), _cpu(sources["pids"])
            if time.monotonic() - began > _LIMIT_S:
                raise RuntimeError(f"the node is at height {height} after {_LIMIT_S:g} s")
            await asyncio.sleep(_POLL_S)
        seconds, grown = time.monotonic() - began, height - first
        made = (await source.get_status()).height - began_at
    late_cpu, source_cpu = _cpu(late["pids"]) - used[0], _cpu(sources["pids"]) - used[1]
    return {
        "blocks_per_second": grown / seconds,
        "transfers_per_second": grown * plan.per_block / seconds,
        "late_cpu_ms_per_block": 1000 * late_cpu / grown,
        "source_cpu_ms_per_block": 1000 * source_cpu / grown,
        "blocks_per_late_cpu_second": grown / max(1e-9, late_cpu),
        "source_blocks_per_second_meanwhile": made / seconds,
    }


def _cpu(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)
