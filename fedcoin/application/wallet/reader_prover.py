"""Proofs that a key asks a node for the artifacts of a private campaign, made for each call."""

from __future__ import annotations

from functools import partial

from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.crypto.keys import SigningKey
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient


async def make_prover(
    node: NodeClient,
    key: SigningKey,
    genesis_hash: bytes,
    campaign_id: bytes,
    *,
    server: bytes = b"",
) -> Prove:
    """Make what signs a key's proofs for one node and one campaign.

    Args:
        node: The node that will be asked.
        key: The reader's key.
        genesis_hash: The genesis hash of the network, 32 bytes.
        campaign_id: The private campaign's id, 32 bytes.
        server: The node's key, 32 bytes. Without it the node is asked for its key: one that names
            another node's key can show the proof there, so leave it out for a node that is trusted.

    Returns:
        A function that gives a valid proof whenever it is called.

    Raises:
        RpcError: The node cannot be reached.
    """
    named = server or bytes.fromhex((await node.get_status()).node_key)
    return partial(ReaderKey(key, genesis_hash).prove, named, campaign_id)
