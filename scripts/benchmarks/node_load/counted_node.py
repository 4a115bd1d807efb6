"""Run `fedcoin-node` and count what it sends, verifies and decodes.

Started as `python -m scripts.benchmarks.node_load.counted_node FILE ARGUMENTS`: the arguments are
those of `fedcoin-node`, and the counts so far are written to FILE as JSON, twice a second.
Functions are wrapped before the modules that import them are loaded, so that the product knows
nothing of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

_WRITE_S = 0.5
_CONSENSUS_KINDS = {0x0A: "proposals", 0x12: "votes", 0x1A: "status", 0x22: "hints"}
"""By the tag of the field of `ConsensusMessage` that a message begins with."""

counts: Counter[str] = Counter()


def _kind_of(raw: bytes) -> str:
    """Name the kind of a serialised `ExchangeRequest`: its field 1 holds a `ConsensusMessage`."""
    position = 1
    while raw[position] & 0x80:
        position += 1
    return _CONSENSUS_KINDS.get(raw[position + 1], "other") if len(raw) > position + 1 else "other"


def _counted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return function(*args, **kwargs)

    return call


def _count_data() -> None:
    """Wrap what verifies and decodes; before any other module of the product is imported."""
    from fedcoin.data.crypto import keys

    keys.verify_signature = _counted(keys.verify_signature, "signatures verified")
    from fedcoin.data.messages import blocks, transactions

    blocks.decode_block = _counted(blocks.decode_block, "blocks decoded")
    transactions.decode_transaction = _counted(
        transactions.decode_transaction, "transactions decoded"
    )


def _count_network() -> None:
    """Wrap what sends to peers."""
    from fedcoin.network.client.grpc_client import GrpcClient
    from fedcoin.network.peers.gossip import consensus_messages
    from fedcoin.network.peers.protection.send_queue import SendQueue

    put, call = SendQueue.put, GrpcClient.call
    consensus_messages.read = _counted(consensus_messages.read, "consensus messages parsed")
    consensus_messages.decode = _counted(consensus_messages.decode, "votes and proposals decoded")

    def counted_put(self: SendQueue, raw: bytes) -> bool:
        kind = _kind_of(raw)
        counts[f"{kind} sent"] += 1
        counts[f"{kind} bytes"] += len(raw)
        return put(self, raw)

    async def counted_call(self: GrpcClient, method: Any, request: Any, **options: Any) -> Any:
        counts["calls to peers"] += 1
        counts["calls to peers bytes"] += request.ByteSize()
        name = getattr(method, "_method", b"").decode().rpartition("/")[2]
        counts[f"call {name}"] += 1
        return await call(self, method, request, **options)

    setattr(SendQueue, "put", counted_put)  # noqa: B010
    setattr(GrpcClient, "call", counted_call)  # noqa: B010


def _count_blocks() -> None:
    from fedcoin.data.storage.block_tables import BlockEntry
    from fedcoin.data.storage.chain_store import ChainStore

    append_all = ChainStore.append_all

    def counted_append(self: ChainStore, blocks: Sequence[BlockEntry]) -> None:
        counts["blocks"] += len(blocks)
        append_all(self, blocks)

    setattr(ChainStore, "append_all", counted_append)  # noqa: B010


def _write_counts(path: Path) -> None:
    temporary = path.with_suffix(".part")
    while True:
        temporary.write_text(json.dumps(dict(counts) | {"cpu_seconds": time.process_time()}))
        temporary.replace(path)
        time.sleep(_WRITE_S)


def main() -> None:
    """Count, and run the command line."""
    path = Path(sys.argv.pop(1))
    _count_data()
    _count_network()
    _count_blocks()
    threading.Thread(target=_write_counts, args=(path,), daemon=True).start()
    from fedcoin.application.cli.entry import main as run

    run()


if __name__ == "__main__":
    main()
