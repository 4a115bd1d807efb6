"""A process that restores a chain from a snapshot, and prints a line after each part.

`tests/application/node/test_snapshot_maker.py` runs it as
`python -m tests.support.processes.snapshot_restorer GENESIS DATABASE SNAPSHOT CHUNK_BYTES`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.application.node.snapshot_maker import restore_snapshot
from fedcoin.contract.snapshots import verifier
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.storage.chain_store import ChainStore


def main(genesis_path: Path, database: Path, snapshot: Path, chunk_bytes: int) -> None:
    verifier.CHUNK_BYTES = chunk_bytes  # type: ignore[misc]
    genesis = parse_genesis(genesis_path.read_bytes())
    with ChainStore.open(database, genesis) as store:
        restore_snapshot(snapshot, store, genesis, lambda: say("part"))
        say("whole")


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    genesis_file, database_file, snapshot_file = map(Path, sys.argv[1:4])
    main(genesis_file, database_file, snapshot_file, int(sys.argv[4]))
