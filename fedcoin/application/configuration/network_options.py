"""A node's settings in the form in which the network layer takes them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.network.host_groups import HostGroups
from fedcoin.network.peer_options import PeerOptions, Tls


def tls_files(config: NodeConfig) -> Tls | None:
    """Name the TLS files.

    Args:
        config: The settings of a node.

    Returns:
        The files; None without TLS.
    """
    if not config.tls.enabled:
        return None
    return Tls(
        Path(config.tls.certificate), Path(config.tls.private_key), Path(config.tls.authority)
    )


def host_groups(config: NodeConfig) -> HostGroups:
    """List the hosts that have no limits of their own.

    Args:
        config: The settings of a node.

    Returns:
        The groups of hosts for the limits of all listeners.
    """
    return HostGroups(tuple(map(ipaddress.ip_network, config.limits.exempt_hosts)))


def peer_options(config: NodeConfig) -> PeerOptions:
    """Collect the settings of the connections to peers.

    Args:
        config: The settings of a node.

    Returns:
        The same settings, with addresses, keys and networks parsed.
    """
    return PeerOptions(
        listen=config.peers.listen,
        advertise=config.peers.advertise,
        seeds=config.peers.seeds,
        max_outbound=config.peers.max_outbound,
        max_inbound=config.peers.max_inbound,
        max_inbound_of_host=config.peers.max_inbound_of_host,
        hosts=host_groups(config),
        refused_keys=frozenset(map(bytes.fromhex, config.peers.refused_keys)),
        insecure=config.tls.insecure,
        tls=tls_files(config),
    )
