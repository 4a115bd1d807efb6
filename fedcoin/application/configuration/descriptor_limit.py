"""The limit on open files and connections (RLIMIT_NOFILE), which a node raises at its start."""

from __future__ import annotations

import logging
from typing import Final

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.network.peer_options import count_peer_connections

log = logging.getLogger(__name__)

OWN_DESCRIPTORS: Final = 128
"""What a node opens beside its connections: libraries, database, log, workers' pipes."""


def needed_descriptors(config: NodeConfig) -> int:
    """Count the files and connections that a node may have open.

    Args:
        config: The settings.

    Returns:
        The connections that the listeners of peers and of the API take, and what the node opens
        beside them: so neither can take the other's, and the database always has room.
    """
    peers = config.peers.max_inbound + config.peers.max_outbound + len(config.peers.seeds)
    return OWN_DESCRIPTORS + count_peer_connections(peers) + config.api.max_streams


def descriptor_limits() -> tuple[int, int]:
    """Read the limits of this process.

    Returns:
        The limit in force, and the one up to which the process may raise it; where the system has
        no such limits, two large numbers.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        return 1 << 20, 1 << 20
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _finite(soft), _finite(hard)


def raise_descriptor_limit(config: NodeConfig) -> None:
    """Raise the limit of this process to what the settings may need; warn when that is not allowed.

    Args:
        config: The settings.
    """
    needed, (soft, hard) = needed_descriptors(config), descriptor_limits()
    if soft < needed:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    if hard < needed:
        log.warning(
            "this process may open %d files, and the settings may need %d: raise the limit "
            "(ulimit -Hn, LimitNOFILE of systemd, --ulimit of a container), or lower "
            "api.max_streams and peers.max_inbound",
            hard,
            needed,
        )


def _finite(limit: int) -> int:
    # RLIM_INFINITY is a negative number or the largest one, by system.
    return 1 << 20 if limit < 0 else min(limit, 1 << 20)
