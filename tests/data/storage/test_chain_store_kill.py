"""Nothing that the store acknowledged is lost by a kill, at any moment."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import decode_transaction
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.genesis import GENESIS_HASH
from tests.support.paths import ROOT

WRITER = "tests.support.processes.chain_writer"


def run_and_kill(home: Path, seconds: float) -> dict[str, int]:
    """Let the writer run for a while, and kill it; returns what it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", WRITER, str(home)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("height"), "the writer did not start"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout]
    said = {"height": 0, "vote": 0, "artifact": 0}
    for line in lines:
        if line.endswith("\n"):
            what, height = line.split()
            said[what] = int(height)
    return said


def check_chain(store: ChainStore, genesis: Genesis) -> None:
    height, parent = store.height(), genesis.hash
    assert store.get(b"height") == b"%d" % height
    kept = {key for key, _ in store.scan(b"at/")}
    assert kept == {b"at/%d" % h for h in range(max(1, height - 2), height + 1)}
    for at in range(1, height + 1):
        stored = store.block(at)
        assert stored is not None
        block = decode_block(stored.raw)
        assert block.header.parent_hash == parent
        assert stored.certificate == b"%d" % at
        transaction = decode_transaction(
            block.transactions[0], ChainIdentity(genesis.chain_id, GENESIS_HASH)
        )
        assert store.index.find_transaction(transaction.hash) == (at, 0)
        assert len(store.receipts(at)) == 1
        parent = block.hash


def check_votes(store: ChainStore, height: int) -> None:
    for at in range(1, height + 1):
        assert [vote.envelope for vote in store.votes.list_at(at)] == [b"%d" % at]


def killed_again_and_again(home: Path, genesis: Genesis, times: int, seed: int) -> None:
    chance = random.Random(seed)
    last = 0
    for _ in range(times):
        said = run_and_kill(home, chance.uniform(0.0, 0.12))
        with ChainStore.open(home / "chain.sqlite", genesis) as store:
            # The last step may be stored without an acknowledgement.
            assert said["height"] <= store.height() <= said["height"] + 1
            assert store.height() >= last
            check_chain(store, genesis)
            check_votes(store, max(said["vote"], store.height()))
            assert store.integrity_faults() == []
            last = store.height()
        artifacts = ArtifactStore(home / "artifacts", 1 << 30)
        assert all(artifacts.check(id) for id in artifacts.ids())
        if said["artifact"]:
            assert artifacts.has(compute_artifact_id(b"%20d" % said["artifact"] * 20_000))
    assert last > 0


def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, genesis: Genesis) -> None:
    killed_again_and_again(tmp_path, genesis, times=8, seed=1)


LOG_BYTES = 150_000
"""At least so long a log is damaged: it has the blocks of several heights."""


def cut_old_frames(log: bytes) -> bytes:
    """Cut off what is left of an earlier, longer log: its frames have another salt."""
    end, frame_bytes = 32, 24 + int.from_bytes(log[8:12], "big")
    while len(log) > end and log[end + 8 : end + 16] == log[16:24]:
        end += frame_bytes
    return log[:end]


def are_pages_moved(shared: bytes) -> bool:
    """Tell by the shared memory beside a log whether a checkpoint may have moved pages of it."""
    # `nBackfillAttempted` of SQLite's WalCkptInfo, after two headers of 48 bytes.
    return shared[128:132] != bytes(4)


def test_a_log_that_was_cut_or_garbled_is_used_up_to_there(
    tmp_path: Path, genesis: Genesis
) -> None:
    """After a power cut, a shortened or garbled log leaves a shorter chain without gaps.

    A checkpoint moves pages only once the log is safe on the disk, so that no power cut shortens a
    log of which pages are moved.
    """
    chain = log = shared = b""
    seconds = 0.05
    while len(log) < LOG_BYTES or are_pages_moved(shared):
        # On a busy machine it writes less in that time, or the log has begun anew.
        run_and_kill(tmp_path, seconds)
        seconds *= 1.3
        chain, log, shared = (
            (tmp_path / f"chain.sqlite{suffix}").read_bytes() for suffix in ("", "-wal", "-shm")
        )
        log = cut_old_frames(log)
    chance, heights = random.Random(1), set()
    for number in range(40):
        place, home = chance.randrange(len(log)), tmp_path / str(number)
        home.mkdir()
        (home / "chain.sqlite").write_bytes(chain)
        garbled = log[:place] + chance.randbytes(20) + log[place + 20 :]
        (home / "chain.sqlite-wal").write_bytes(log[:place] if number % 2 else garbled)
        with ChainStore.open(home / "chain.sqlite", genesis) as store:
            if store.get(b"height") is not None:
                check_chain(store, genesis)
            heights.add(store.height())
    assert len(heights) > 3


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_kills_lose_nothing_acknowledged(tmp_path: Path, genesis: Genesis, seed: int) -> None:
    killed_again_and_again(tmp_path, genesis, times=20, seed=seed)
