"""A process that restores a chain from a snapshot, and kills itself after some of its parts.

`tests/application/node/test_snapshot_maker.py` runs it as
`python -m tests.support.processes.snapshot_restorer GENESIS DATABASE SNAPSHOT CHUNK_BYTES PARTS`.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from fedcoin.application.node.snapshot_maker import restore_snapshot
from fedcoin.contract.snapshots import verifier
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.storage.chain_store import ChainStore


def main(
    genesis_path: Path, database: Path, snapshot: Path, chunk_bytes: int, last_part: int
) -> None:
    verifier.CHUNK_BYTES = chunk_bytes  # type: ignore[misc]
    genesis = parse_genesis(genesis_path.read_bytes())
    parts = count(1)

    def after_part() -> None:
        if next(parts) == last_part:
            os.kill(os.getpid(), signal.SIGKILL)

    with ChainStore.open(database, genesis) as store:
        restore_snapshot(snapshot, store, genesis, after_part)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:6]))  # type: ignore[arg-type]
