"""Make a node's vote signer, with the guard that keeps it silent while votes may be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.voting.signing_guard import ChainSight, SigningGuard
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.contract.state import records
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.storage.vote_mark import VoteMarkFile
from fedcoin.network.ports.peers_port import PeerInfo


def open_signer(
    key: KeyPair,
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

    def read_bonding_time() -> int:
        bond = records.BONDS.get(chain.ledger.reader, key.address)
        header = chain.store.header(bond.since_height - 1) if bond is not None else None
        return header.time_ms if header is not None else 0

    def read_peers_height() -> int:
        return max((peer.height for peer in peers()), default=0)

    guard = SigningGuard(
        VoteMarkFile(home.vote_mark_path(config.key, chain.genesis.hash)),
        chain.store.votes,
        chain.genesis,
        ChainSight(chain.header, read_peers_height, read_bonding_time),
        unix_ms(),
        override=config.vote_without_record,
    )
    return VoteSigner(key, chain.store, chain.genesis, guard)
