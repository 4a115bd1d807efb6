"""A chain of one validator, written without a node."""

from __future__ import annotations

from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import make_header
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.votes import sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.vote_pb2 import VoteKind
from tests.support.genesis import GENESIS_MS, make_genesis
from tests.support.keys import ALICE, MINERS
from tests.support.transfers import sign_transfer

START_MS = GENESIS_MS
MINER = MINERS[0]
FUNDS = 10**12


def make_home(root: Path, blocks: int) -> Home:
    """Create a home whose chain has this many blocks, with one transfer in each."""
    home = Home(root)
    home.add_key("node", MINER)
    genesis = make_genesis({MINER: 10**9}, {ALICE: FUNDS})
    home.write(genesis.raw, {})
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        store.initialise(genesis_changes(home.genesis()))
        ledger = Ledger(store, home.genesis())
        certificate = b""
        for height in range(1, blocks + 1):
            certificate = append(store, ledger, height, certificate)
    return home


def append(store: ChainStore, ledger: Ledger, height: int, certificate: bytes) -> bytes:
    """Make the next block final; returns its certificate."""
    context = BlockContext(height, START_MS + 1000 * height, MINER.address, certificate)
    genesis_hash = ledger.genesis.hash
    paid = sign_transfer(height - 1, 5, recipient=MINER, genesis_hash=genesis_hash)
    execution = ledger.execute(context, [paid])
    header = make_header(context, store.tip_hash(), ledger.genesis, execution)
    block = build_block(header, certificate, (paid.raw,))
    precommit = sign_vote(VoteKind.VOTE_KIND_PRECOMMIT, height, 0, block.hash, MINER, genesis_hash)
    made = make_certificate([precommit])
    store.append(block, made, execution.receipts, execution.changes)
    ledger.adopt(execution)
    return made
