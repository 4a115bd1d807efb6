"""Give a node old messages, and messages of another network, and record how each is refused.

A campaign of two rounds runs to its end. Then messages that were final in it, and messages that
were signed for another chain, are given to the ledger, the voting and the handshake of one node.
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
from fedcoin.data.messages.chain_identity import ChainIdentity
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
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.ledger_application import LedgerApplication
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.consensus_simulation.simulator import validator_key
from fedcoin.v1.transaction_pb2 import TransactionBody
from fedcoin.v1.vote_pb2 import Certificate

OTHER_CHAIN_ID = "another-network"
"""The chain id of another network."""

OTHER_GENESIS_HASH = sha256(b"another network")
"""The genesis hash of an earlier launch, whose chain id, keys and validators are the same."""


@dataclass(frozen=True)
class RefusedMessage:
    """One invalid message, and the node's refusal."""

    # The message; a noun.
    what: str
    # The name of the error code.
    code: str
    # The points that the sending peer gets (100 lead to a ban); 0 where an honest peer may send
    # the message.
    points: int


_Points = Callable[[Enum], int]
"""Returns the points that the sending peer gets for a refusal with a code."""


@dataclass(frozen=True)
class _Delivery:
    """One message, and how a node receives it."""

    what: str
    # Raises RefusalError.
    deliver: Callable[[], object]
    points: _Points


def deliver_invalid_messages() -> list[RefusedMessage]:
    """Deliver every kind of invalid message that this module knows to a node.

    Returns:
        One refusal for each message.

    Raises:
        AssertionError: A message was accepted, or changed the state.
    """
    campaign = CampaignSimulation(CampaignSetting(rounds=2))
    campaign.run()
    node = campaign.nodes[0]
    app_hash = node.ledger.app_hash
    refused = []
    for delivery in _list_deliveries(campaign, node):
        try:
            delivery.deliver()
        except RefusalError as refusal:
            points = delivery.points(refusal.code)
            refused.append(RefusedMessage(delivery.what, refusal.code.name, points))
        else:
            raise AssertionError(f"{delivery.what} was accepted")
        assert node.ledger.app_hash == app_hash, f"{delivery.what} changed the state"
    return refused


def _list_deliveries(campaign: CampaignSimulation, node: LedgerApplication) -> Iterator[_Delivery]:
    yield from _list_transactions(campaign, node)
    yield from _list_consensus_messages(campaign, node)
    yield from _list_blocks(campaign, node)
    yield from _list_handshakes(campaign)


def _list_transactions(
    campaign: CampaignSimulation, node: LedgerApplication
) -> Iterator[_Delivery]:
    signer, network = validator_key(1), campaign.genesis.identity
    max_bytes = campaign.genesis.parameters.max_transaction_bytes

    def submit(transaction: Transaction) -> None:
        decoded = decode_transaction(transaction.raw, network, max_bytes)
        node.ledger.check(decoded, node.height(), node.time_ms() + 1)

    def sign_again(
        transaction: Transaction,
        chain: ChainIdentity = network,
        expiry_height: int | None = None,
    ) -> Transaction:
        body = TransactionBody()
        body.CopyFrom(transaction.body)
        body.chain_id, body.nonce = chain.chain_id, node.ledger.account(signer.address).nonce
        if expiry_height is not None:
            body.expiry_height = expiry_height
        return sign_transaction(body, signer, chain.genesis_hash)

    final = [t for t in _final_transactions(campaign) if t.sender == signer.address]
    first = final[0]
    reveal = [t for t in final if action_name(t.body) == "reveal_shapley"][-1]
    expired = sign_again(first, expiry_height=node.height())
    renamed = replace(network, chain_id=OTHER_CHAIN_ID)
    relaunched = replace(network, genesis_hash=OTHER_GENESIS_HASH)
    late_reveal = sign_again(reveal, expiry_height=node.height() + 10)
    for what, transaction in (
        ("a transaction that is final already", first),
        ("a transaction past its expiry", expired),
        ("a reveal of a settled task, signed again", late_reveal),
        ("a transaction of another chain", sign_again(first, renamed)),
        ("a transaction of an earlier launch", sign_again(first, relaunched)),
    ):
        yield _Delivery(what, partial(submit, transaction), _points_of_transaction)


def _list_consensus_messages(
    campaign: CampaignSimulation, node: LedgerApplication
) -> Iterator[_Delivery]:
    height, signer = node.height() + 1, validator_key(1)
    block_hash = sha256(b"block")
    engine = TendermintEngine(
        height, node.validators(), node.proposer, validator_key(0).public_key, Timeouts(100, 100)
    )
    genesis_hash = campaign.genesis.hash
    first = campaign.final_blocks[0]
    precommit = Certificate.FromString(first.certificate).precommits[0]
    foreign = sign_vote(PREVOTE, height, 0, block_hash, signer, OTHER_GENESIS_HASH)
    unbonded = sign_vote(PREVOTE, height, 0, block_hash, _unbonded_key(), genesis_hash)
    proposal = sign_proposal(height, 0, -1, first.block, signer, genesis_hash)
    yield _Delivery(
        "a vote of a final height",
        lambda: engine.on_vote(decode_vote(precommit, genesis_hash)),
        _no_points,
    )
    yield _Delivery(
        "a vote of an earlier launch",
        lambda: decode_vote(foreign.envelope, genesis_hash),
        _points_of_unreadable_message,
    )
    yield _Delivery(
        "a vote of a key without a bond",
        lambda: engine.on_vote(unbonded),
        _points_of_refused_message,
    )
    yield _Delivery(
        "a final block, proposed again",
        lambda: decode_proposal(proposal.envelope, genesis_hash),
        _points_of_unreadable_message,
    )


def _list_blocks(campaign: CampaignSimulation, node: LedgerApplication) -> Iterator[_Delivery]:
    """List final blocks and certificates, as a peer would send them that a node catches up from."""
    first, last = campaign.final_blocks[0], campaign.final_blocks[-1]
    tip = node.tip
    assert tip is not None

    own_hash = campaign.genesis.hash

    def append(block: Block) -> None:
        check_block(block, tip.header, campaign.genesis, node.ledger, round=0)

    def verify(certificate: bytes, genesis_hash: bytes) -> None:
        validators = node.validators()
        verify_certificate(certificate, validators, genesis_hash, last.height, last.block.hash)

    for what, deliver in (
        ("a final block as the next one", partial(append, first.block)),
        (
            "a certificate of another block",
            partial(verify, first.certificate, own_hash),
        ),
        (
            "a certificate of an earlier launch",
            partial(verify, last.certificate, OTHER_GENESIS_HASH),
        ),
    ):
        yield _Delivery(what, deliver, _points_of_bad_block)


def _list_handshakes(campaign: CampaignSimulation) -> Iterator[_Delivery]:
    genesis, responder = campaign.genesis, validator_key(1)
    for what, other in (
        ("a handshake with another chain id", replace(genesis, chain_id=OTHER_CHAIN_ID)),
        ("a handshake with another genesis", replace(genesis, hash=sha256(b"other"))),
    ):
        identity = encode_identity(other, _unbonded_key().public_key, "stranger/1", "", 0)
        check = partial(check_identity, identity, genesis, responder.public_key)
        yield _Delivery(what, check, _no_points)


def _unbonded_key() -> KeyPair:
    return KeyPair.from_seed(sha256(b"stranger"))


def _final_transactions(campaign: CampaignSimulation) -> list[Transaction]:
    return [
        decode_transaction(raw, campaign.genesis.identity, len(raw))
        for final in campaign.final_blocks
        for raw in final.block.transactions
    ]


def _no_points(code: Enum) -> int:
    """Points for a message that an honest peer may send when it is behind or has just started."""
    return 0


def _points_of_transaction(code: Enum) -> int:
    """Points for a relayed transaction: data errors only, because peers' states may differ."""
    if code is DataCode.BAD_SIGNATURE:
        return POINTS[Offence.BAD_SIGNATURE]
    return POINTS[Offence.MALFORMED] if isinstance(code, DataCode) else 0


def _points_of_unreadable_message(code: Enum) -> int:
    """Points for a vote or proposal that cannot be decoded."""
    return POINTS[OFFENCES[code.name]]


def _points_of_refused_message(code: Enum) -> int:
    """Points for a vote or proposal that no honest peer would have forwarded."""
    return POINTS[Offence.REFUSED_MESSAGE]


def _points_of_bad_block(code: Enum) -> int:
    """Points for a block or certificate that this node asked for."""
    return POINTS[Offence.BAD_BLOCK]
