"""A home whose chain settled two mined tasks, one exact and one sampled, with all artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from fedcoin.application.configuration.home import Home
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.consensus.effects import CastVote
from fedcoin.consensus.lock_record import encode_lock
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.learning.evaluation.job import Coalitions, Counts
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import block_pb2, task_pb2
from tests.support.inline_workers import InlineExecutor
from tests.support.mining_campaign import EXAMPLES, MiningCampaign
from tests.support.mining_site import MiningSite


async def settled_home(folder: Path, lie: int = 0) -> Home:
    """Create the home of the first miner, which no process uses.

    With `lie`, all miners add this many right answers to each count, and accept the others'
    evidence.
    """
    site_folder = folder / "site"
    site_folder.mkdir()
    worker = WorkerPool(executor=InlineExecutor())
    await worker.start()
    here = MiningSite(site_folder, worker, challenge_leaves=12)
    honest = here.worker.evaluate

    async def evaluate(job_id: bytes, coalitions: Coalitions, *, urgent: bool = False) -> Counts:
        return np.minimum(await honest(job_id, coalitions) + lie, EXAMPLES)

    here.worker.evaluate = evaluate  # type: ignore[method-assign]
    try:
        here.start(*here.chain.miners)
        for job in (
            here.job,
            MiningCampaign(here.chain, here.store, 5, task_pb2.SCHEDULE_ANTITHETIC),
        ):
            await job.open_campaign()
            opening = await job.open_task()
            for _ in range(200):
                # No block is produced while the miners evaluate.
                await here.chain.run()
                if here.chain.task(opening.hash).closed_height:
                    break
            assert here.chain.task(opening.hash).phase == block_pb2.TASK_PHASE_SETTLED
        speak(here)
    finally:
        await here.close()
        await worker.stop()
    home = Home(folder / "home")
    home.write(here.chain.chain.genesis.raw, {})
    shutil.copy(site_folder / "chain.sqlite", home.chain_path)
    shutil.copytree(site_folder / "artifacts", home.artifacts_path, dirs_exist_ok=True)
    return home


def speak(here: MiningSite) -> None:
    """Store votes and a lock, as the first miner's node would have."""
    store, genesis, miner = here.chain.store, here.chain.chain.genesis, here.chain.miners[0]
    word, height = VoteSigner(miner, store, genesis), here.chain.chain.height()
    stored = store.block(height)
    assert stored is not None
    block = decode_block(stored.raw)
    polka = [
        sign_vote(PREVOTE, height, 0, block.hash, key, genesis.hash) for key in here.chain.miners
    ]
    lock = encode_lock(block, polka)
    word.sign(height, CastVote(PREVOTE, 0, block.hash))
    word.sign(height, CastVote(PRECOMMIT, 0, block.hash, lock))
    word.sign(height, CastVote(PREVOTE, 1, b""))
    store.votes.prune(1)


def copy_home(home: Home, target: Path) -> Home:
    """Copy a home, so that a test can edit the copy."""
    shutil.copytree(home.root, target)
    return Home(target)


def task_ids(home: Home) -> list[bytes]:
    """Return the chain's tasks in order."""
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        return [opened.id for opened in reversed(store.index.list_tasks(10))]


def digest(home: Home) -> bytes:
    """Return the hash of the database file."""
    return sha256(home.chain_path.read_bytes())
