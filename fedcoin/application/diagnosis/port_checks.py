"""Check the addresses that a node listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.fields import dialable, endpoint_of
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.network.listener import find_bind_error
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.node_addresses import parse_node_address

CONNECT_SECONDS: Final = 2.0
"""How long a listener on this machine may take to accept a connection, in seconds."""


def check_ports(config: NodeConfig, *, is_running: bool) -> Iterator[Finding]:
    """Check each address that the settings tell the node to listen on.

    Args:
        config: The settings.
        is_running: Whether the home's node runs, so that its ports are in use by it.

    Yields:
        A finding for each address, and one about the address that peers dial.
    """
    for name, address in _listeners(config):
        endpoint = endpoint_of(address)
        yield _check_running(name, endpoint) if is_running else _check_free(name, endpoint)
    yield _check_advertised(config)


def is_on_one_machine(config: NodeConfig) -> bool:
    """Tell whether the settings are those of a network on one machine, such as for a trial.

    Args:
        config: The settings.

    Returns:
        True when peers are served on loopback alone, no other address is advertised, and each of
        `peers.seeds` is on loopback.
    """
    if config.peers.advertise or not endpoint_of(config.peers.listen).loopback:
        return False
    return all(parse_node_address(seed).endpoint.loopback for seed in config.peers.seeds)


def _listeners(config: NodeConfig) -> Iterator[tuple[str, str]]:
    yield "peers.listen", config.peers.listen
    yield "api.listen", config.api.listen
    if config.coordinator.enabled:
        yield "coordinator.listen", config.coordinator.listen
    if config.metrics.listen:
        yield "metrics.listen", config.metrics.listen


def _check_free(name: str, endpoint: Endpoint) -> Finding:
    if endpoint.port == 0:
        return Finding("ports", Level.OK, f"{name}: a free port is taken at the start")
    reason = find_bind_error(endpoint.host, endpoint.port)
    if reason:
        text = f"{name}: cannot listen on {endpoint} ({reason})"
        advice = f"stop the program that uses it, or set {name} to another address"
        return Finding("ports", Level.WRONG, text, advice)
    return Finding("ports", Level.OK, f"{name}: {endpoint} is free")


def _check_running(name: str, endpoint: Endpoint) -> Finding:
    if endpoint.port == 0:
        return Finding("ports", Level.OK, f"{name}: the running node took a free port")
    reached = endpoint_of(dialable(str(endpoint)))
    try:
        with socket.create_connection((reached.host, reached.port), CONNECT_SECONDS):
            pass
    except OSError as error:
        text = f"{name}: the node runs, but nothing answers at {endpoint} ({error})"
        advice = "the node may have been started with other flags: see the first lines of its log"
        return Finding("ports", Level.WARNING, text, advice)
    return Finding("ports", Level.OK, f"{name}: {endpoint} is in use by the running node")


def _check_advertised(config: NodeConfig) -> Finding:
    listen, advertise = endpoint_of(config.peers.listen), config.peers.advertise
    level = Level.NOTE if is_on_one_machine(config) else Level.WARNING
    if advertise:
        return Finding("address", Level.OK, f"peers dial {advertise} (peers.advertise)")
    if listen.loopback:
        text = f"peers.listen is {listen}: only nodes on this machine can dial it"
        advice = "set peers.listen to an address that other machines reach, such as 0.0.0.0:7050"
        if not config.tls.enabled and not config.tls.insecure:
            # Without them such an address is refused, and all other checks rest on defaults.
            advice += (
                ", together with TLS files (`fedcoin-node tls issue`), or with tls.insecure on a"
                " network that you trust"
            )
        return Finding("address", level, text, f"for a network of several machines, {advice}")
    if listen.wildcard:
        text = f"peers dial the host that they see connections from, port {listen.port}"
        advice = "behind a NAT or in a container, set peers.advertise to what others can dial"
        return Finding("address", Level.WARNING, text, advice)
    return Finding("address", Level.OK, f"peers dial {listen}")
