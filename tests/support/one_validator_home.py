"""A chain of one validator, written without a node."""

from __future__ import annotations

from pathlib import Path

from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import Home
from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import header_of
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.messages.votes import sign_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput
from fedcoin.v1.vote_pb2 import VoteKind

CHAIN_ID = "one-validator"
START_MS = 1_700_000_000_000
MINER = KeyPair.from_seed(b"\x01" * 32)
ALICE = KeyPair.from_seed(b"\x02" * 32)
FUNDS = 10**12


def transfer(nonce: int, amount: int = 5) -> Transaction:
    output = TransferOutput(recipient=MINER.address, amount=amount)
    body = TransactionBody(
        chain_id=CHAIN_ID,
        nonce=nonce,
        fee=10_000,
        expiry_height=500,
        transfer=Transfer(outputs=[output]),
    )
    return sign_transaction(body, ALICE)


def make_home(root: Path, blocks: int) -> Home:
    """A home whose chain has that many blocks with a transfer each."""
    home = Home(root)
    home.add_key("node", MINER)
    genesis = write_genesis(
        CHAIN_ID,
        START_MS,
        balances={ALICE.address: FUNDS},
        bonds={MINER.public_key: 10**9},
    )
    home.write(genesis, {})
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        store.initialise(genesis_changes(home.genesis()))
        ledger = Ledger(store, home.genesis())
        certificate = b""
        for height in range(1, blocks + 1):
            certificate = append(store, ledger, height, certificate)
    return home


def append(store: ChainStore, ledger: Ledger, height: int, certificate: bytes) -> bytes:
    """Decides one block; returns its certificate."""
    context = BlockContext(height, START_MS + 1000 * height, MINER.address, certificate)
    execution = ledger.execute(context, [transfer(height - 1)])
    header = header_of(context, store.tip_hash(), ledger.genesis, execution)
    block = build_block(header, certificate, (transfer(height - 1).raw,))
    precommit = sign_vote(VoteKind.VOTE_KIND_PRECOMMIT, height, 0, block.hash, MINER, CHAIN_ID)
    made = make_certificate([precommit])
    store.append(block, made, execution.receipts, execution.changes)
    ledger.adopt(execution)
    return made
