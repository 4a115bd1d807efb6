"""Old messages, and another network's, brought to the ledger, the voting and the handshake.

A campaign of two rounds is played to its end; then what was final in it, and what was signed for
another chain, is brought to one of its nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.contract.blocks.validation import check_block
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.transactions import (
    Transaction,
    action_name,
    decode_transaction,
    sign_transaction,
)
from fedcoin.data.messages.votes import (
    PREVOTE,
    decode_proposal,
    decode_vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.network.peers.connections.handshake import check_identity, encode_identity
from fedcoin.network.peers.connections.peer_guard import OFFENCES
from fedcoin.network.peers.protection.reputation import POINTS, Offence
from fedcoin.testing.campaign_simulation.campaign_setting import GENESIS_MS, CampaignSetting
from fedcoin.testing.campaign_simulation.ledger_application import LedgerApplication
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.consensus_simulation.simulated_node import CHAIN_ID
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.v1.transaction_pb2 import TransactionBody
from fedcoin.v1.vote_pb2 import Certificate

OTHER = "another-network"
REVEAL = "reveal_shapley"


@dataclass(frozen=True)
class RefusedMessage:
    """One message, and what was said to it."""

    what: str
    said: str
    """The code of the refusal."""
    points: int
    """What it costs the peer that brought it, of 100 for a ban; 0 where an honest one may."""


def brought() -> list[RefusedMessage]:
    """All of them. Raises AssertionError if one is taken, or changes the state."""
    arena = CampaignSimulation(CampaignSetting(rounds=2))
    arena.run()
    node = arena.nodes[0]
    before = node.ledger.app_hash
    found = []
    for what, bring, points in messages(arena, node):
        try:
            bring()
        except RefusalError as refusal:
            found.append(RefusedMessage(what, refusal.code.name, points(refusal.code)))
        else:
            raise AssertionError(f"{what}: it was taken")
        assert node.ledger.app_hash == before, what
    return found


def messages(
    arena: CampaignSimulation, node: LedgerApplication
) -> Iterator[tuple[str, Callable[[], object], Points]]:
    """What is brought, how, and what its refusal costs a peer."""
    genesis, signer = arena.genesis, validator_key(1)
    most = genesis.parameters.max_transaction_bytes
    height = node.height() + 1

    def submit(transaction: Transaction) -> None:
        taken = decode_transaction(transaction.raw, CHAIN_ID, most)
        node.ledger.check(taken, node.height(), node.time_ms() + 1)

    def again(transaction: Transaction, chain: str = CHAIN_ID, **changed: int) -> Transaction:
        body = TransactionBody()
        body.CopyFrom(transaction.body)
        body.chain_id, body.nonce = chain, node.ledger.account(signer.address).nonce
        for name, value in changed.items():
            setattr(body, name, value)
        return sign_transaction(body, signer)

    old = [t for t in final_transactions(arena) if t.sender == signer.address]
    reveal = [t for t in old if action_name(t.body) == REVEAL][-1]
    yield "a transaction that is final already", lambda: submit(old[0]), relayed
    yield (
        "a transaction past its expiry",
        lambda: submit(again(old[0], expiry_height=node.height())),
        relayed,
    )
    yield (
        "a reveal of a settled task, signed anew",
        lambda: submit(again(reveal, expiry_height=height + 9)),
        relayed,
    )
    yield "a transaction for another chain", lambda: submit(again(old[0], OTHER)), relayed

    voting = TendermintEngine(
        height, node.validators(), node.proposer, validator_key(0).public_key, Timeouts(100, 100)
    )
    first = arena.finals[0]
    precommit = Certificate.FromString(first.certificate).precommits[0]
    foreign = sign_vote(PREVOTE, height, 0, sha256(b"block"), signer, OTHER)
    yield "a vote of a final height", lambda: voting.on_vote(decode_vote(precommit, CHAIN_ID)), free
    yield "a vote for another chain", lambda: decode_vote(foreign.envelope, CHAIN_ID), streamed
    stranger = KeyPair.from_seed(sha256(b"stranger"))
    strange = sign_vote(PREVOTE, height, 0, sha256(b"block"), stranger, CHAIN_ID)
    yield "a vote of who has no bond", lambda: voting.on_vote(strange), refused
    renamed = sign_proposal(height, 0, -1, first.block, signer, CHAIN_ID)
    yield (
        "a final block, proposed anew",
        lambda: decode_proposal(renamed.envelope, CHAIN_ID),
        streamed,
    )
    yield from blocks(arena, node)
    for what, other in (
        ("a handshake with another chain id", replace(genesis, chain_id=OTHER)),
        ("a handshake with another genesis", replace(genesis, hash=sha256(b"other"))),
    ):
        identity = encode_identity(other, stranger.public_key, "stranger/1", "", 0)
        yield what, partial(check_identity, identity, genesis, signer.public_key), free


def blocks(
    arena: CampaignSimulation, node: LedgerApplication
) -> Iterator[tuple[str, Callable[[], object], Points]]:
    """Final blocks and certificates, as a peer that is synchronised from would send them."""
    first, last = arena.finals[0], arena.finals[-1]
    tip = node.tip
    assert tip is not None

    def follows(block: Block, now_ms: int | None = None) -> None:
        check_block(block, tip.header, arena.genesis, node.ledger, now_ms=now_ms)

    yield "a final block as the next one", lambda: follows(first.block, GENESIS_MS), fatal
    yield (
        "a certificate of another block",
        lambda: verify_certificate(
            first.certificate, node.validators(), CHAIN_ID, last.height, last.block.hash
        ),
        fatal,
    )
    yield (
        "a certificate of another chain",
        lambda: verify_certificate(
            last.certificate, node.validators(), OTHER, last.height, last.block.hash
        ),
        fatal,
    )


def final_transactions(arena: CampaignSimulation) -> list[Transaction]:
    """All, in their order."""
    return [
        decode_transaction(raw, CHAIN_ID, len(raw))
        for final in arena.finals
        for raw in final.block.transactions
    ]


# What a refusal costs the peer that brought the message: as the network layer judges it.

Points = Callable[[Enum], int]


def free(code: Enum) -> int:
    """Nothing: who is behind, or just started, may say it."""
    return 0


def relayed(code: Enum) -> int:
    """Of a transaction: only what the data layer refuses, since states differ."""
    if code is DataCode.BAD_SIGNATURE:
        return POINTS[Offence.BAD_SIGNATURE]
    return POINTS[Offence.MALFORMED] if isinstance(code, DataCode) else 0


def streamed(code: Enum) -> int:
    """Of a vote or proposal that cannot be read."""
    return POINTS[OFFENCES[code.name]]


def refused(code: Enum) -> int:
    """Of a vote or proposal that no honest peer would have passed on."""
    return POINTS[Offence.REFUSED_MESSAGE]


def fatal(code: Enum) -> int:
    """Of a block or certificate that was asked for."""
    return POINTS[Offence.BAD_BLOCK]
