"""Make a node's vote signer, with the guard that keeps it silent while votes may be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.voting.signing_guard import ChainSight, SigningGuard
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.application.signing.remote_key import RemoteKey
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.state import records
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import SigningKey
from fedcoin.data.storage.vote_mark import VoteMarkFile
from fedcoin.network.ports.peers_port import PeerInfo

REMOTE_NAME: Final = "signer"
"""The name, in place of a key's, of the marks of a key that another process holds."""

_LATE_BLOCKS: Final = 100
"""In the certificates of how many blocks a vote of a key is looked for that may be unused."""


def open_miner_key(config: MinerConfig, home: Home) -> SigningKey:
    """Open the key that votes, and signs what a miner submits.

    Args:
        config: The miner's settings.
        home: The home with the keys.

    Returns:
        The key of `miner.key`, or the one that the process of `miner.signer` holds.

    Raises:
        RefusalError: SIGNER_AWAY when that process cannot be reached; the codes of `Home.key`.
    """
    return RemoteKey(config.signer) if config.signer else home.key(config.key)


def open_signer(
    key: SigningKey,
    config: MinerConfig,
    home: Home,
    chain: Chain,
    peers: Callable[[], Sequence[PeerInfo]],
) -> VoteSigner:
    """Make the signer of a validator that starts now.

    Args:
        key: The validator's key.
        config: The miner's settings, which name the key.
        home: The home, whose folder of keys holds the mark.
        chain: The node's chain.
        peers: Lists the connected peers.

    Returns:
        A signer that stays silent while the database may lack votes of the key.
    """
    name = REMOTE_NAME if config.signer else config.key

    def read_bonding_time() -> int:
        bond = records.BONDS.get(chain.ledger.reader, key.address)
        header = chain.store.header(bond.since_height - 1) if bond is not None else None
        return header.time_ms if header is not None else 0

    def read_peers_height() -> int | None:
        return weigh_claims(
            peers(), chain.ledger.validators(), key.public_key, chain.store.height()
        )

    def has_signed() -> bool:
        top = chain.store.height()
        late = range(max(1, top - _LATE_BLOCKS + 1), top + 1)
        # Public keys stand in certificates as they are.
        return any(key.public_key in (chain.store.certificate(h) or b"") for h in late)

    bonds = dict(chain.genesis.validators)
    is_alone = 3 * bonds.get(key.public_key, 0) > 2 * sum(bonds.values())
    guard = SigningGuard(
        VoteMarkFile.beside_key(home.keys_path, name, chain.genesis.hash),
        chain.store.votes,
        chain.genesis,
        ChainSight(chain.header, read_peers_height, read_bonding_time, is_alone, has_signed),
        unix_ms(),
        unused=None if config.signer else home.unused_key(config.key),
        override=config.vote_without_record,
    )
    return VoteSigner(key, chain.store, chain.genesis, guard)


def weigh_claims(
    peers: Sequence[PeerInfo], validators: ValidatorSet, own_key: bytes, own_height: int
) -> int | None:
    """Tell which height to take for the chain's, of those that peers claim.

    Anybody may claim a height, and need not prove it: honest nodes that began from a snapshot say
    as well that they have no early blocks. So no claim counts against validators of more than 2/3
    of the power that have no further block.

    Args:
        peers: The connected peers. A peer is a validator where it proved a validator's key.
        validators: The validators of the next height, as far as this node knows.
        own_key: This validator's key, 32 bytes.
        own_height: The height of this node's latest block; 0 without one.

    Returns:
        The greatest height; `own_height` when so many validators have no further block; None
        without peers.
    """
    claimed = max((peer.height for peer in peers), default=None)
    if claimed is None or claimed <= own_height:
        return claimed
    behind = {peer.node_key for peer in peers if peer.height <= own_height} | {own_key}
    members = [member for member in map(validators.by_key, behind) if member is not None]
    return own_height if validators.has_quorum(sum(m.power for m in members)) else claimed
