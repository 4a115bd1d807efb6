"""Check a home: its folder, settings, genesis, keys, lock and certificates."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.network_options import tls_files
from fedcoin.application.configuration.private_folders import lock_folder
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.application.signing.remote_key import RemoteKey
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError

DAY_MS: Final = 86_400_000
"""One day in ms."""

EARLY_DAYS: Final = 30
"""A certificate that ends within this many days is a warning."""

MAX_SOCKET_PATH_BYTES: Final = 107
"""The longest path of a Unix socket, in bytes."""


def check_config(home: Home, environment: Mapping[str, str]) -> tuple[NodeConfig, list[Finding]]:
    """Read the settings.

    Args:
        home: The home, whose files are read.
        environment: The environment's variables.

    Returns:
        The settings, or the defaults when they cannot be read; and one finding.
    """
    try:
        config = home.config(environment)
    except (RefusalError, OSError) as error:
        advice = "correct it; the checks of addresses, peers and workers use the default settings"
        return NodeConfig(), [Finding("settings", Level.WRONG, str(error), advice)]
    source = home.config_path if home.config_path.exists() else "defaults and variables"
    return config, [Finding("settings", Level.OK, f"{source}: every setting is allowed")]


def check_home(home: Home, config: NodeConfig) -> Iterator[Finding]:
    """Check the folder, the genesis and the keys.

    Args:
        home: The home, whose files are read.
        config: The settings, which name the keys that a node needs.

    Yields:
        Findings about each of them.
    """
    if not home.root.is_dir():
        advice = f"make a home: fedcoin-node init --home {home.root}"
        yield Finding("home", Level.WRONG, f"{home.root} is not a folder", advice)
        return
    yield _check_folder(home.root)
    yield _check_genesis(home)
    names = [NODE_KEY]
    names += [config.miner.key] if config.miner.enabled and not config.miner.signer else []
    names += [config.coordinator.key] if config.coordinator.enabled else []
    for name in dict.fromkeys((*names, *home.key_names())):
        yield _check_key(home, name)
    if config.miner.enabled and config.miner.signer:
        yield _check_signer(config.miner.signer)
    length = len(os.fsencode(home.admin_socket.absolute()))
    if length > MAX_SOCKET_PATH_BYTES:
        text = f"the path of admin.sock has {length} bytes, more than {MAX_SOCKET_PATH_BYTES}"
        yield Finding("home", Level.WRONG, text, "move the home to a folder with a shorter path")


def _check_signer(address: str) -> Finding:
    try:
        key = RemoteKey(address)
    except RefusalError as refusal:
        advice = "start it (`fedcoin-node signer`), and let this user reach its socket"
        return Finding("signer", Level.WRONG, refusal.message, advice)
    return Finding("signer", Level.OK, f"{address} signs for {format_address(key.address)}")


def is_locked(home: Home) -> bool:
    """Tell whether a process works on a home's chain.

    Args:
        home: The home, whose files are read.

    Returns:
        True when another process holds the lock.
    """
    if not (home.root / "lock").exists():
        return False
    try:
        with lock_folder(home.root):
            return False
    except (RefusalError, OSError):
        return True


def check_certificates(home: Home, config: NodeConfig, now_ms: int) -> Iterator[Finding]:
    """Check the TLS files: their dates, and whether peers would accept the certificate.

    Args:
        home: The home, whose key `node` the certificate must name.
        config: The settings.
        now_ms: The present time in Unix ms.

    Yields:
        A finding for each certificate; one when TLS is not in use.
    """
    tls = tls_files(config)
    if tls is None:
        if config.tls.insecure:
            text = "TLS is off, and tls.insecure allows plaintext to other machines"
            advice = "only do so on a network that you trust: others can read and change messages"
            yield Finding("certificates", Level.WARNING, text, advice)
        else:
            yield Finding("certificates", Level.OK, "TLS is off, and listeners are on loopback")
        return
    for path in (tls.certificate, tls.authority):
        yield _check_dates(path, now_ms)
    from fedcoin.network.peers.connections.security import Security

    try:
        Security(tls, insecure=False).check_certificate(home.key_info(NODE_KEY).public_key)
    except (RefusalError, OSError) as error:
        advice = "issue it for this home: fedcoin-node tls issue --home"
        yield Finding("certificates", Level.WRONG, str(error), advice)
    else:
        text = "the certificate fits its key, its authority and the node's key"
        yield Finding("certificates", Level.OK, text)


def _check_folder(root: Path) -> Finding:
    mode = root.stat().st_mode & 0o777
    if not os.access(root, os.W_OK):
        return Finding(
            "home", Level.WRONG, f"{root} cannot be written by this user", "change its owner"
        )
    if os.name == "posix" and mode & 0o077:
        advice = f"chmod 700 {root}"
        return Finding("home", Level.WARNING, f"others can open {root} (mode {mode:04o})", advice)
    return Finding("home", Level.OK, f"{root} is for its owner alone")


def _check_genesis(home: Home) -> Finding:
    try:
        genesis = home.genesis()
    except (RefusalError, OSError) as error:
        advice = "take genesis.json from another operator of the network, byte for byte"
        return Finding("genesis", Level.WRONG, str(error), advice)
    return Finding("genesis", Level.OK, f"{genesis.chain_id}, SHA-256 {genesis.hash.hex()}")


def _check_key(home: Home, name: str) -> Finding:
    subject = f"key {name}"
    try:
        info = home.key_info(name)
    except (RefusalError, OSError) as error:
        advice = (
            f"correct it, or restore the file from a backup; its mode must be 0600 ({name}.key)"
        )
        return Finding(subject, Level.WRONG, str(error), advice)
    kind = "encrypted" if info.is_encrypted else "in plain text"
    return Finding(subject, Level.OK, f"readable by its owner alone, {kind}")


def _check_dates(path: Path, now_ms: int) -> Finding:
    # Imported here, so that the other checks do not load the library.
    from fedcoin.application.certificates.certificate_info import check_validity

    try:
        info = check_validity(path, now_ms)
    except (RefusalError, OSError) as error:
        return Finding("certificates", Level.WRONG, str(error), "fedcoin-node tls renew")
    left = (info.not_after_ms - now_ms) / DAY_MS
    text = f"{path} is valid for {left:.0f} more days"
    if left < EARLY_DAYS:
        return Finding("certificates", Level.WARNING, text, "renew it: fedcoin-node tls renew")
    return Finding("certificates", Level.OK, text)
