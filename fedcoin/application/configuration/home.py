"""A home folder: everything that one node or wallet keeps on disk.

::

    config.toml     settings, each commented
    genesis.json    the network
    keys/           NAME.key, 0600, encrypted when made with a passphrase
    chain.sqlite    blocks and state
    artifacts/      weights, models and evaluation sets
    snapshots/      the state at some heights, for nodes that join
    peers.json      the address book
    coordinator.json  where a campaign stands, so that a restart goes on there
    campaign/       the artifacts of a coordinator that runs without a node, and its lock
    admin.sock      the operator's socket
    lock            held by the process that works on the chain
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from fedcoin.application.configuration.config import NodeConfig, load_config, render_config
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.key_files import KeyFileInfo, inspect_key, load_key, save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis, parse_genesis

NODE_KEY = "node"
KEY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one folder, and what is read from them. Nothing is cached.

    ``passphrase`` opens encrypted keys where no other is given.
    """

    root: Path
    passphrase: str | None = field(default=None, repr=False)

    @property
    def config_path(self) -> Path:
        """Settings."""
        return self.root / "config.toml"

    @property
    def genesis_path(self) -> Path:
        """The network."""
        return self.root / "genesis.json"

    @property
    def keys_path(self) -> Path:
        """A folder with one file a key."""
        return self.root / "keys"

    @property
    def chain_path(self) -> Path:
        """The SQLite database."""
        return self.root / "chain.sqlite"

    @property
    def artifacts_path(self) -> Path:
        """A folder with one file an artifact."""
        return self.root / "artifacts"

    @property
    def snapshots_path(self) -> Path:
        """A folder with one file a snapshot."""
        return self.root / "snapshots"

    @property
    def peers_path(self) -> Path:
        """The address book."""
        return self.root / "peers.json"

    @property
    def coordinator_path(self) -> Path:
        """Where the coordinator's campaign stands."""
        return self.root / "coordinator.json"

    @property
    def campaign_path(self) -> Path:
        """What a coordinator that has no node in its process keeps besides."""
        return self.root / "campaign"

    @property
    def admin_socket(self) -> Path:
        """The operator's Unix socket."""
        return self.root / "admin.sock"

    @property
    def is_initialised(self) -> bool:
        """Has ``fedcoin-node init`` been here?"""
        return self.genesis_path.exists()

    def genesis(self) -> Genesis:
        """The network. Raises NO_HOME when there is none, BAD_GENESIS when it is unsound."""
        if not self.is_initialised:
            raise RefusalError(
                ApplicationCode.NO_HOME,
                f"{self.root} is not a home: make one with `fedcoin-node init --home {self.root}`",
                field="home",
            )
        return parse_genesis(self.genesis_path.read_bytes())

    def config(
        self, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
    ) -> NodeConfig:
        """The settings in force here; defaults where there is no file."""
        return load_config(self.config_path, environment, flags)

    def key_path(self, name: str) -> Path:
        """The file of a key. Raises BAD_ARGUMENT when it is no name."""
        if not KEY_NAME.fullmatch(name):
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"{name!r} is no name for a key: use 1 to 63 lower-case letters, digits, - and _",
                field="key",
            )
        return self.keys_path / f"{name}.key"

    def key_names(self) -> tuple[str, ...]:
        """The names of all keys, sorted."""
        return tuple(sorted(path.stem for path in self.keys_path.glob("*.key")))

    def key_info(self, name: str = NODE_KEY) -> KeyFileInfo:
        """What a key's file says without its passphrase. Raises NO_KEY, BAD_KEY_FILE."""
        return inspect_key(self._existing_key(name))

    def key(self, name: str = NODE_KEY, passphrase: str | None = None) -> KeyPair:
        """Reads a key. Raises NO_KEY, NO_PASSPHRASE, and what :func:`load_key` raises."""
        path = self._existing_key(name)
        known = passphrase or self.passphrase
        if known is None and inspect_key(path).sealed:
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
        """Where a new key of this name goes. Raises KEY_EXISTS, BAD_ARGUMENT."""
        path = self.key_path(name)
        if path.exists():
            raise RefusalError(
                ApplicationCode.KEY_EXISTS,
                f"{self.root} has a key {name!r} already: choose another name",
                field="key",
            )
        return path

    def add_key(self, name: str, key: KeyPair, passphrase: str | None = None) -> None:
        """Writes a new key. Raises KEY_EXISTS rather than overwrite one."""
        path = self.refuse_if_taken(name)
        make_folder(self.root)
        make_folder(self.keys_path)
        save_key(path, key, passphrase)

    def refuse_if_initialised(self) -> None:
        """Raises HOME_EXISTS when this is a home."""
        if self.is_initialised:
            raise RefusalError(
                ApplicationCode.HOME_EXISTS,
                f"{self.root} is a home already: choose another folder with --home",
                field="home",
            )

    def refuse_without_chain(self) -> None:
        """Raises NO_CHAIN when no node ever ran here."""
        if not self.chain_path.exists():
            raise RefusalError(
                ApplicationCode.NO_CHAIN,
                f"{self.root} holds no chain yet: run `fedcoin-node start --home {self.root}`",
                field="home",
            )

    def write(self, genesis: bytes, settings: Mapping[str, object]) -> None:
        """Makes this a home of the network ``genesis``. Raises HOME_EXISTS, BAD_GENESIS."""
        parse_genesis(genesis)
        self.refuse_if_initialised()
        make_folder(self.root)
        make_folder(self.keys_path)
        make_folder(self.artifacts_path)
        if not self.config_path.exists():
            self.config_path.write_text(render_config(settings), encoding="utf-8")
        # Last and at once: a folder with a genesis is a home.
        draft = self.genesis_path.with_suffix(".draft")
        draft.write_bytes(genesis)
        os.replace(draft, self.genesis_path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes off the chain of this home. Raises HOME_IN_USE."""
        with lock_folder(self.root):
            yield

    @contextmanager
    def campaign_locked(self) -> Iterator[None]:
        """Keeps other coordinators off the campaign of this home. Raises HOME_IN_USE."""
        make_folder(self.root)
        make_folder(self.campaign_path)
        with lock_folder(self.campaign_path):
            yield


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Holds the file ``lock`` in a folder. Raises HOME_IN_USE when another process does."""
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RefusalError(
            ApplicationCode.HOME_IN_USE,
            f"another process works on {folder}: stop it, or choose another home with --home",
            field="home",
        ) from None
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> None:
    """Makes a folder that only its owner can read."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
