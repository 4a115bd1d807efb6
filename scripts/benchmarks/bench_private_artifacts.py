"""Measure what the proofs of readers cost: fetching artifacts of open and of private campaigns.

A listener on loopback serves a store with a room, by the state of a campaign with 64 readers and an
open task of 100 miners. A client fetches a small and a large artifact, in turn for everybody and
for the campaign, as its last miner. Prints the processor time and the wall time of each, and the
ratios; exits with 1 when the processor time of the large one grows by 10 % or more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState, Overlay
from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.artifacts.artifact_admission import ChainAdmission
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.listener import Listener, Service
from fedcoin.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from fedcoin.v1.state_pb2 import CampaignState, FrozenPower, FrozenPowerState
from fedcoin.v1.task_pb2 import ReaderList

GENESIS, CAMPAIGN, TASK = (sha256(name) for name in (b"genesis", b"campaign", b"task"))
KEYS = [KeyPair.from_seed(sha256(b"key %d" % number)) for number in range(165)]
SERVER, MINERS, READERS = KEYS[0], KEYS[1:101], KEYS[101:]
SIZES = {"100 KB": 100_000, "20 MB": 20_000_000}
"""The artifacts, in bytes."""
LIMIT = 0.1
"""By how much the processor time of the largest may grow."""


@dataclass(frozen=True)
class _Chain:
    """What an admission reads of a chain: itself, as its ledger, its genesis and its store."""

    reader: MemoryState
    hash: bytes = GENESIS
    time_ms: int = 1_800_000_000_000

    @property
    def genesis(self) -> _Chain:
        return self

    ledger = store = genesis

    def height(self) -> int:
        return 0

    def header(self, height: int) -> None:
        return None


def _chain() -> _Chain:
    state = MemoryState()
    overlay = Overlay(state)
    campaign = CampaignState(requester=SERVER.address, open_task_id=TASK)
    campaign.readers.CopyFrom(ReaderList(addresses=sorted(key.address for key in READERS)))
    records.CAMPAIGNS.put(overlay, CAMPAIGN, record=campaign)
    frozen = FrozenPowerState(miners=[FrozenPower(address=k.address, power=1) for k in MINERS])
    records.POWERS.put(overlay, TASK, record=frozen)
    state.apply(overlay.changes())
    return _Chain(state)


async def _fetch(client: NodeClient, id: bytes, prove: Prove | None) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    await client.download_artifact(id, prove=prove)
    return time.perf_counter() - wall, time.process_time() - processor


async def measure(folder: Path, turns: int) -> dict[str, dict[str, float]]:
    """Fetch each artifact for everybody and for the campaign, in turn.

    Args:
        folder: An empty folder for the store.
        turns: How often each is fetched.

    Returns:
        For each size the medians in seconds, by `open wall`, `open processor` and so on.
    """
    store = ArtifactStore(folder, 1 << 30)
    admission = ChainAdmission(store, cast("Any", _chain()), SERVER.public_key)
    servicer = ArtifactServicer(store, admission)
    add = cast("Callable[..., None]", add_ArtifactServiceServicer_to_server)
    service = Service("fedcoin.v1.ArtifactService", lambda server: add(servicer, server))
    listener = Listener("127.0.0.1:0", [service])
    await listener.start()
    reader = ReaderKey(MINERS[-1], GENESIS)
    prove = partial(reader.prove, SERVER.public_key, CAMPAIGN)
    found: dict[str, dict[str, float]] = {}
    try:
        async with NodeClient(listener.address) as client:
            for name, size in SIZES.items():
                content = random.Random(size).randbytes(size)
                id = store.put(content)
                store.room(CAMPAIGN).put(content)
                times: dict[str, list[tuple[float, float]]] = {"open": [], "private": []}
                for _ in range(turns):
                    times["open"].append(await _fetch(client, id, None))
                    times["private"].append(await _fetch(client, id, prove))
                found[name] = {
                    f"{who} {what}": statistics.median(one[index] for one in taken)
                    for who, taken in times.items()
                    for index, what in enumerate(("wall", "processor"))
                }
    finally:
        await listener.stop(0)
    return found


def main() -> int:
    """Measure, print a table, and check the limit.

    Returns:
        The exit code: 1 when the limit is missed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help="How often each is fetched.")
    parser.add_argument("--json", action="store_true", help="Print the numbers as JSON.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), given.turns))
    if given.json:
        print(json.dumps(found))
    else:
        for name, one in found.items():
            print(
                f"{name}: processor {one['open processor'] * 1e3:.2f} ms open,"
                f" {one['private processor'] * 1e3:.2f} ms private; wall"
                f" {one['open wall'] * 1e3:.2f} ms, {one['private wall'] * 1e3:.2f} ms"
            )
    large = found[list(SIZES)[-1]]
    return int(large["private processor"] > (1 + LIMIT) * large["open processor"])


if __name__ == "__main__":
    raise SystemExit(main())
