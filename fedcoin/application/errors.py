"""What this layer refuses, by code."""

from __future__ import annotations

from enum import Enum


class ApplicationCode(str, Enum):
    """Why a command or a setting was refused; each value is its own name."""

    BAD_ARGUMENT = "BAD_ARGUMENT"
    """An option's value makes no sense together with the rest."""
    BAD_CONFIG = "BAD_CONFIG"
    """config.toml, a FEDCOIN_* variable or a flag holds a value that cannot be used."""
    UNKNOWN_SETTING = "UNKNOWN_SETTING"
    """A setting that does not exist."""
    EXPOSED = "EXPOSED"
    """A listener without TLS on an address that others can reach."""
    NO_HOME = "NO_HOME"
    """The folder is not a home."""
    NO_CHAIN = "NO_CHAIN"
    """No node ever ran in this home."""
    HOME_EXISTS = "HOME_EXISTS"
    """The folder is a home already."""
    HOME_IN_USE = "HOME_IN_USE"
    """Another process works on this home."""
    PORT_IN_USE = "PORT_IN_USE"
    """Another process listens there."""
    NO_KEY = "NO_KEY"
    """The home has no key of that name."""
    KEY_EXISTS = "KEY_EXISTS"
    """The home has a key of that name already."""
    NO_PASSPHRASE = "NO_PASSPHRASE"  # noqa: S105 - a code, not a secret
    """The key is encrypted and no passphrase was given."""
    WRONG_NETWORK = "WRONG_NETWORK"
    """The node belongs to another network than the home."""
    BAD_CHAIN = "BAD_CHAIN"
    """The stored chain breaks its own rules."""
    PROCESS_FAILED = "PROCESS_FAILED"
    """A process of the devnet ended or never got ready."""
    DISAGREEMENT = "DISAGREEMENT"
    """Nodes that should hold the same state do not."""
