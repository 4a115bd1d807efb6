"""Build a chain of one checkout of this project, and start the nodes that serve and fetch it.

`bench_catch_up` runs this file with the interpreter of that checkout, which may be older than this
one. Four validators sign each block; the first has 97 % of the power, so that it can go on alone.
The blocks are written to the homes of the sources before their processes start. One line of JSON on
the standard output says where they listen. A line `late` on the standard input starts the node that
has no blocks, whose description is the next line; the end of the input stops everything.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

checkout: Any = importlib.import_module("checkout_network")
"""The module beside this file: a checkout may have another `scripts` package."""

_LARGE_BOND = 100 * 10**11
_SENDERS = 100
_LIVE_INTERVAL_MS = 50

_Chain = checkout.find("application.node.chain:Chain", "application.chain:Chain")
_Store = checkout.find("data.storage.chain_store:ChainStore", "data.store:ChainStore")
_Ledger = checkout.find("contract.blocks.ledger:Ledger", "contract.ledger:Ledger")
_genesis_changes = checkout.find(
    "contract.state.genesis_state:genesis_changes", "contract.genesis:genesis_changes"
)
_make_certificate = checkout.find("consensus.certificates:make_certificate")
_sign_vote = checkout.find("data.messages.votes:sign_vote", "data.votes:sign_vote")
_decode = checkout.find(
    "data.messages.transactions:decode_transaction", "data.transactions:decode_transaction"
)
_PRECOMMIT = 2


def _rewrite_homes(plan: Any, senders: list[Any], live: bool) -> None:
    """Give the first validator nearly all power, and let the nodes neither mine nor vote."""
    checkout.rewrite_genesis(plan, senders)
    first = plan.miners[0].member.home
    content = json.loads(first.genesis_path.read_text())
    key = first.key().public_key.hex()
    for validator in content["validators"]:
        if validator["public_key"] == key:
            validator["bond"] = str(_LARGE_BOND)
    if live:
        content["parameters"]["max_block_interval_ms"] = _LIVE_INTERVAL_MS
    raw = (json.dumps(content, indent=2) + "\n").encode()
    for index, miner in enumerate(plan.miners):
        home = miner.member.home
        home.genesis_path.write_bytes(raw)
        text = home.config_path.read_text()
        if index or not live:
            text = text.replace("enabled = true", "enabled = false")
        # Its votes for the chain were signed here, and no worker is needed.
        text = text.replace("# vote_without_record = false", "vote_without_record = true")
        home.config_path.write_text(text.replace("# warm = true", "warm = false"))


def _proposer(ledger: Any, height: int) -> bytes:
    """Ask a ledger for the proposer; earlier ones wanted the height."""
    wants_height = len(inspect.signature(ledger.proposer).parameters) == 2
    proposer: bytes = (ledger.proposer(height, 0) if wants_height else ledger.proposer(0)).address
    return proposer


async def _grow(plan: Any, transfers: Iterator[bytes], blocks: int, per_block: int) -> None:
    """Append blocks to the first validator's chain."""
    home = plan.miners[0].member.home
    genesis = home.genesis()
    keys = [miner.member.home.key() for miner in plan.miners]
    # Earlier signatures named the chain by its id alone.
    has_hash = "genesis_hash" in inspect.signature(_sign_vote).parameters
    named = genesis.hash if has_hash else genesis.chain_id
    identity = genesis.identity if has_hash else genesis.chain_id
    with _Store.open(home.chain_path, genesis) as store:
        store.initialise(_genesis_changes(genesis))
        now_ms = genesis.time_ms
        chain = _Chain(store, _Ledger(store, genesis), lambda: now_ms)
        for height in range(1, blocks + 1):
            now_ms += 1
            chosen = [
                _decode(raw, identity) for _, raw in zip(range(per_block), transfers, strict=False)
            ]
            draft = await chain.build(_proposer(chain.ledger, height), chosen)
            if draft.refused:
                raise RuntimeError(f"{len(draft.refused)} transfers do not apply")
            block = draft.block
            votes = [_sign_vote(_PRECOMMIT, height, 0, block.hash, key, named) for key in keys]
            await chain.commit(block, _make_certificate(votes), 0)


def main(root: Path, blocks: int, per_block: int, sources: int, live: bool) -> None:
    """Run sources, and then the node that catches up, until the standard input ends.

    Args:
        root: An empty folder for homes and logs.
        blocks: The length of the chain.
        per_block: How many transfers each block holds.
        sources: How many nodes have the chain, at most three.
        live: Whether the first of them goes on making blocks.
    """
    plan = checkout.create_plan(4, 1, root)
    senders = checkout.make_senders("catch up", _SENDERS)
    receiver = checkout.make_senders("receiver", 1)[0]
    _rewrite_homes(plan, [*senders, receiver], live)
    miners = [miner.member for miner in plan.miners]
    each = -(-blocks * per_block // _SENDERS)
    transfers = checkout.sign_transfers(senders, each, receiver.address, miners[0].home.genesis())
    asyncio.run(_grow(plan, transfers, blocks, per_block))
    for member in miners[1:sources]:
        shutil.copy(miners[0].home.chain_path, member.home.chain_path)
    with checkout.start_processes(root / "logs") as processes:

        def start(numbers: range) -> None:
            checkout.start_members(processes, [miners[number] for number in numbers])
            description = {
                "apis": [plan.miners[number].api for number in numbers],
                "pids": [processes.pid(miners[number].name) for number in numbers],
            }
            print(json.dumps(description), flush=True)

        start(range(sources))
        for line in sys.stdin:
            if line.strip() == "late":
                start(range(3, 4))


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    main(Path(settings.pop("root")), **settings)
