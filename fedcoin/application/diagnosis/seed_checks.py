"""Check whether the peers that the settings name can be reached from here."""

from __future__ import annotations

import asyncio
from typing import Final

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.network_options import tls_files
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.application.diagnosis.port_checks import is_on_one_machine
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.handshake import encode_identity
from fedcoin.network.peers.connections.link import greet
from fedcoin.network.peers.connections.node_addresses import parse_node_address
from fedcoin.network.peers.connections.security import Security

TIMEOUT_SECONDS: Final = 5.0
"""How long a peer may take to answer, in seconds."""

_ADVICE: Final = {
    NetworkCode.PEER_UNREACHABLE: (
        "check the address, that the node runs there, and the firewalls on the way"
    ),
    NetworkCode.WRONG_PEER: "ask its operator for the present key@host:port",
    NetworkCode.WRONG_GENESIS: "take the genesis.json that its operator has",
    NetworkCode.WRONG_CHAIN: "take the genesis.json that its operator has",
    NetworkCode.WRONG_PROTOCOL: "install the same version of the program on both sides",
    NetworkCode.WRONG_ADDRESS: "dial the address that the error names",
    NetworkCode.NOT_SECURE: "set the TLS files, or tls.insecure on a network that you trust",
}


async def check_seeds(home: Home, config: NodeConfig) -> list[Finding]:
    """Dial each of `peers.seeds` at once, and make the first half of a handshake.

    Args:
        home: The home, whose key `node` and genesis introduce the caller.
        config: The settings.

    Returns:
        A finding for each seed, in their order; one when there are none.
    """
    if not config.peers.seeds:
        text = "peers.seeds names no peer to dial"
        advice = "name a node of the network as key@host:port, unless the others dial this one"
        level = Level.NOTE if is_on_one_machine(config) else Level.WARNING
        return [Finding("seeds", level, text, advice)]
    try:
        genesis, key = home.genesis(), home.key_info(NODE_KEY).public_key
        security = Security(tls_files(config), insecure=config.tls.insecure)
    except (RefusalError, OSError) as error:
        advice = "correct it, and run this check again"
        return [Finding("seeds", Level.UNKNOWN, f"cannot dial: {error}", advice)]
    checks = (_check_seed(seed, genesis, key, security) for seed in config.peers.seeds)
    return list(await asyncio.gather(*checks))


async def _check_seed(seed: str, genesis: Genesis, key: bytes, security: Security) -> Finding:
    own = encode_identity(genesis, key, "fedcoin-node doctor", "", 0)
    try:
        found = await greet(parse_node_address(seed), own, genesis, security, TIMEOUT_SECONDS)
    except RefusalError as refusal:
        if refusal.code is NetworkCode.SELF_CONNECTION:
            return Finding("seeds", Level.OK, f"{seed} is this node")
        advice = _ADVICE.get(refusal.code, "ask its operator")  # type: ignore[call-overload]
        return Finding("seeds", Level.WRONG, f"{seed}: {refusal.message}", advice)
    return Finding("seeds", Level.OK, f"{seed} answers, at height {found.height} ({found.agent})")
