"""A process that appends blocks and votes as fast as it can, and prints each acknowledgement.

`tests/data/storage/test_chain_store_kill.py` runs it as
`python -m tests.support.processes.chain_writer HOME`, kills it, and looks for what it printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.vote_log import OwnVote
from tests.support.sample_blocks import genesis_of, make_receipt, next_block
from tests.support.transfers import sign_transfer


def main(home: Path) -> None:
    """Append blocks and votes until killed."""
    with ChainStore.open(home / "chain.sqlite", genesis_of()) as store:
        artifacts = ArtifactStore(home / "artifacts", 1 << 30)
        store.initialise({b"height": b"0"})
        say("height", store.height())
        while True:
            height = store.height() + 1
            store.votes.record(OwnVote("prevote", height, 0, bytes(32), b"%d" % height))
            say("vote", height)
            transaction = sign_transfer(height)
            receipts = [make_receipt(transaction)]
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
    """Print that a block or vote of this height is stored."""
    sys.stdout.write(f"{what} {height}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
