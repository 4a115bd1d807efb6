"""A process that appends blocks and votes as fast as it can, and says what was acknowledged.

Run by test_store_kill.py, which kills it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conftest import genesis_of, next_block, receipt_of, transfer

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.storage.chain_store import ChainStore


def main(home: Path) -> None:
    with ChainStore.open(home / "chain.sqlite", genesis_of()) as store:
        artifacts = ArtifactStore(home / "artifacts", 1 << 30)
        store.initialise({b"height": b"0"})
        say("height", store.height())
        while True:
            height = store.height() + 1
            store.record_vote("prevote", height, 0, bytes(32), b"%d" % height)
            say("vote", height)
            transaction = transfer(height)
            receipts = [receipt_of(transaction)]
            changes: dict[bytes, bytes | None] = {
                b"height": b"%d" % height,
                b"at/%d" % height: bytes(200),
                b"at/%d" % (height - 3): None,
            }
            block = next_block(store, [transaction], receipts)
            store.append(block, b"%d" % height, receipts, changes)
            say("height", height)
            if height % 5 == 0:
                artifacts.put(b"%20d" % height * 20_000)
                say("artifact", height)


def say(what: str, height: int) -> None:
    sys.stdout.write(f"{what} {height}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
