"""A home: the folder that holds everything one node or wallet keeps on disk.

config.toml       settings, each with a comment
genesis.json      the genesis of the network
keys/             NAME.key, mode 0600, encrypted when made with a passphrase; NAME-CHAIN.votes, what
                  the key may have signed; NAME-CHAIN.signed, what a signer's process has signed;
                  NAME.unused, until the key signs its first vote
tls/              certificate, private key and authority, when `fedcoin-node tls` made them
chain.sqlite      blocks and state
artifacts/        weights, models and evaluation sets
snapshots/        the state at some heights, for nodes that join
backups/          copies of the database that an operator asked for over the network
work/             a miner's samples and salts between commitment and reveal
fetched           which artifacts were fetched for which campaign
mempool           transactions that waited when the node stopped
pinned_genesis    the genesis hash that a home without genesis.json signs for
peers.json        the address book and the bans
receipts/         a client's receipts for its updates
coordinator.json  the state of a coordinator's campaign, read at a restart
campaign/         artifacts and lock of a coordinator that runs without a node
api_tokens.json   the hashes of the API's tokens, if it has any
admin.sock        the operator's Unix socket
lock              held by the process that works on the chain
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.config_sources import load_config, render_config
from fedcoin.application.configuration.private_folders import lock_folder, make_folder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.key_files import KeyFileInfo, inspect_key, load_key, save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from fedcoin.data.storage.unused_key import UnusedKeyFile, read_boot_id

NODE_KEY = "node"
"""The name of the key that a node signs its votes with."""

KEY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""The names that a key may have."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of a home, and the readers of its files. Nothing is cached."""

    root: Path
    """The folder."""

    passphrase: str | None = field(default=None, repr=False)
    """Opens encrypted keys when a method is given no other passphrase."""

    @property
    def config_path(self) -> Path:
        """The file of settings, config.toml."""
        return self.root / "config.toml"

    @property
    def genesis_path(self) -> Path:
        """The file genesis.json."""
        return self.root / "genesis.json"

    @property
    def pinned_genesis_path(self) -> Path:
        """The file with the genesis hash that a home without a genesis signs for."""
        return self.root / "pinned_genesis"

    @property
    def keys_path(self) -> Path:
        """The folder with one file for each key."""
        return self.root / "keys"

    @property
    def chain_path(self) -> Path:
        """The SQLite database."""
        return self.root / "chain.sqlite"

    @property
    def artifacts_path(self) -> Path:
        """The folder with one file for each artifact."""
        return self.root / "artifacts"

    @property
    def snapshots_path(self) -> Path:
        """The folder with one file for each snapshot."""
        return self.root / "snapshots"

    @property
    def backups_path(self) -> Path:
        """The folder of backups that operators ask for over the network, by default."""
        return self.root / "backups"

    @property
    def mempool_path(self) -> Path:
        """The transactions that waited for a block when the node stopped."""
        return self.root / "mempool"

    @property
    def peers_path(self) -> Path:
        """The address book."""
        return self.root / "peers.json"

    @property
    def coordinator_path(self) -> Path:
        """The file with the state of the coordinator's campaign."""
        return self.root / "coordinator.json"

    @property
    def campaign_path(self) -> Path:
        """The folder of a coordinator that runs without a node in its process."""
        return self.root / "campaign"

    @property
    def admin_socket(self) -> Path:
        """The operator's Unix socket."""
        return self.root / "admin.sock"

    @property
    def tokens_path(self) -> Path:
        """The hashes of the API's tokens; the API is open where there is no such file."""
        return self.root / "api_tokens.json"

    @property
    def is_home(self) -> bool:
        """True when this folder has settings, a genesis, the hash of one, or keys."""
        paths = (self.config_path, self.genesis_path, self.pinned_genesis_path, self.keys_path)
        return any(path.exists() for path in paths)

    @property
    def is_initialised(self) -> bool:
        """True when this folder has a genesis."""
        return self.genesis_path.exists()

    def genesis(self) -> Genesis:
        """Read the genesis.

        Returns:
            The genesis of the network that this home belongs to.

        Raises:
            RefusalError: NO_HOME when there is none, BAD_GENESIS when it is malformed.
        """
        if not self.is_initialised:
            raise RefusalError(
                ApplicationCode.NO_HOME,
                f"{self.root} is not a home: make one with `fedcoin-node init --home {self.root}`",
                field="home",
            )
        return parse_genesis(self.genesis_path.read_bytes())

    def config(
        self,
        environment: Mapping[str, str],
        flags: Mapping[str, object] | None = None,
        recalled: Mapping[str, str] | None = None,
    ) -> NodeConfig:
        """Read the settings in force.

        Args:
            environment: The environment's variables.
            flags: Values of command-line flags by dotted name; None for one that was not given.
            recalled: What an earlier start was told, as in `load_config`.

        Returns:
            The settings; defaults where this home has no config.toml.

        Raises:
            RefusalError: BAD_CONFIG for a wrong value; UNKNOWN_SETTING for a name that does not
                exist; EXPOSED for a listener without TLS that other machines can reach.
        """
        return load_config(self.config_path, environment, flags, recalled)

    def peer_address(self, config: NodeConfig) -> str:
        """Compose the address that other nodes dial.

        Args:
            config: The settings in force.

        Returns:
            `key@host:port`, with the host and port of `peers.advertise` or else of `peers.listen`.

        Raises:
            RefusalError: NO_KEY when the home has no node key, BAD_KEY_FILE when it is malformed.
        """
        key = self.key_info(NODE_KEY).public_key.hex()
        return f"{key}@{config.peers.advertise or config.peers.listen}"

    def key_path(self, name: str) -> Path:
        """Return the path of a key's file, which may not exist.

        Args:
            name: The key's name: 1 to 63 lower-case letters, digits, - and _.

        Returns:
            A path below `keys/`.

        Raises:
            RefusalError: BAD_ARGUMENT when `name` is not of that form.
        """
        if not KEY_NAME.fullmatch(name):
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"{name!r} is not a key's name: use 1 to 63 lower-case letters, digits, - and _",
                field="key",
            )
        return self.keys_path / f"{name}.key"

    def key_names(self) -> tuple[str, ...]:
        """List the names of all keys, sorted."""
        return tuple(sorted(path.stem for path in self.keys_path.glob("*.key")))

    def key_info(self, name: str = NODE_KEY) -> KeyFileInfo:
        """Read the fields of a key's file that need no passphrase.

        Args:
            name: The key's name.

        Returns:
            The public key, the address, and whether the file is encrypted.

        Raises:
            RefusalError: NO_KEY when there is none of that name, BAD_KEY_FILE when it is malformed.
        """
        return inspect_key(self._existing_key(name))

    def key(self, name: str = NODE_KEY, passphrase: str | None = None) -> KeyPair:
        """Read a key.

        Args:
            name: The key's name.
            passphrase: Opens an encrypted key; None means the passphrase of this object.

        Returns:
            The key pair.

        Raises:
            RefusalError: NO_KEY when there is none of that name, NO_PASSPHRASE when it is encrypted
                and no passphrase is known; BAD_KEY_FILE when others can read the file or it is
                malformed; WRONG_PASSPHRASE when the passphrase does not open it.
        """
        path = self._existing_key(name)
        known = passphrase or self.passphrase
        if known is None and inspect_key(path).is_encrypted:
            raise RefusalError(
                ApplicationCode.NO_PASSPHRASE,
                f"the key {name!r} is encrypted: set FEDCOIN_PASSPHRASE or give --passphrase-file",
                field="passphrase",
            )
        return load_key(path, known)

    def _existing_key(self, name: str) -> Path:
        path = self.key_path(name)
        if not path.exists():
            known = ", ".join(self.key_names()) or "none"
            raise RefusalError(
                ApplicationCode.NO_KEY,
                f"{self.root} has no key {name!r} (it has: {known}): make one with "
                f"`fedcoin-node keys new {name} --home {self.root}`",
                field="key",
            )
        return path

    def refuse_if_taken(self, name: str) -> Path:
        """Return the path for the file of a new key, if its name is free.

        Args:
            name: The new key's name.

        Returns:
            A path below `keys/` at which there is no file.

        Raises:
            RefusalError: KEY_EXISTS when there is one, BAD_ARGUMENT when `name` is malformed.
        """
        path = self.key_path(name)
        if path.exists():
            raise RefusalError(
                ApplicationCode.KEY_EXISTS,
                f"{self.root} has a key {name!r} already: choose another name",
                field="key",
            )
        return path

    def unused_key(self, name: str) -> UnusedKeyFile:
        """Return the note that a key has signed nothing.

        Args:
            name: The key's name.

        Returns:
            The note's file, which may not exist.
        """
        return UnusedKeyFile(self.key_path(name), read_boot_id())

    def add_key(
        self, name: str, key: KeyPair, passphrase: str | None = None, *, is_unused: bool = False
    ) -> None:
        """Write a new key. An existing one is never overwritten.

        Args:
            name: The new key's name.
            key: The key pair.
            passphrase: Encrypts the file; None leaves it in plain text.
            is_unused: The key was made for this home, and has signed no vote of its network.

        Raises:
            RefusalError: KEY_EXISTS when there is one, BAD_ARGUMENT when `name` is malformed.
        """
        path = self.refuse_if_taken(name)
        make_folder(self.root)
        make_folder(self.keys_path)
        save_key(path, key, passphrase)
        if is_unused:
            self.unused_key(name).write()

    def refuse_if_initialised(self) -> None:
        """Refuse to go on when this folder is a home.

        Raises:
            RefusalError: HOME_EXISTS when it is one.
        """
        if self.is_initialised:
            raise RefusalError(
                ApplicationCode.HOME_EXISTS,
                f"{self.root} is a home already: choose another folder with --home",
                field="home",
            )

    def refuse_without_chain(self) -> None:
        """Refuse to go on when no node has run in this home.

        Raises:
            RefusalError: NO_CHAIN when it holds no database.
        """
        if not self.chain_path.exists():
            raise RefusalError(
                ApplicationCode.NO_CHAIN,
                f"{self.root} holds no chain yet: run `fedcoin-node start --home {self.root}`",
                field="home",
            )

    def write(self, genesis: bytes, settings: Mapping[str, object]) -> None:
        """Turn this folder into a home.

        Args:
            genesis: The bytes of the network's genesis.json.
            settings: Settings for config.toml by dotted name. An existing file is kept.

        Raises:
            RefusalError: HOME_EXISTS when it is a home, BAD_GENESIS when the genesis is malformed.
        """
        parse_genesis(genesis)
        self.refuse_if_initialised()
        make_folder(self.root)
        make_folder(self.keys_path)
        make_folder(self.artifacts_path)
        if not self.config_path.exists():
            self.config_path.write_text(render_config(settings), encoding="utf-8")
        # The genesis comes last and in one step, since a folder that has it counts as a home.
        draft = self.genesis_path.with_suffix(".draft")
        draft.write_bytes(genesis)
        os.replace(draft, self.genesis_path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on this home's chain.

        Yields:
            Nothing; the lock is held inside the `with` block.

        Raises:
            RefusalError: HOME_IN_USE when another process holds it.
        """
        with lock_folder(self.root):
            yield

    @contextmanager
    def campaign_locked(self) -> Iterator[None]:
        """Hold the lock on this home's campaign.

        Yields:
            Nothing; the lock is held inside the `with` block.

        Raises:
            RefusalError: HOME_IN_USE when another coordinator holds it.
        """
        make_folder(self.root)
        make_folder(self.campaign_path)
        with lock_folder(self.campaign_path):
            yield
