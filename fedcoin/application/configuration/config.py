"""The settings of a node: `config.toml` has one table for each field of `NodeConfig`.

The docstring of a table's class is one line: it becomes the comment above the table. Amounts are in
sap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.configuration.fields import (
    address,
    choice,
    many,
    network,
    node_address,
    node_key,
    number,
    proxy,
    real,
    setting,
    switch,
    text,
    unix_socket,
)
from fedcoin.learning.workers.sandbox import SANDBOX_MODES

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """The listener for other nodes."""

    listen: str = setting(
        "127.0.0.1:7050", address(), "Where other nodes reach this one; port 0 takes a free one."
    )
    advertise: str = setting(
        "",
        address(allow_empty=True),
        "The host:port that other nodes shall dial; empty: the address of `listen`.",
    )
    seeds: tuple[str, ...] = setting(
        (),
        many(node_address()),
        "Nodes to dial first, as key@host:port; without a key, the key that answers is pinned.",
    )
    max_outbound: int = setting(
        8,
        number(0, 100),
        "The largest number of peers that this node dials.",
    )
    max_inbound: int = setting(
        32,
        number(0, 1000),
        "The largest number of peers that may dial this node.",
    )
    max_inbound_of_host: int = setting(
        4,
        number(1, 1000),
        "The largest number of peers that may dial this node from one host, an IPv4 address or an "
        "IPv6 /64 network.",
    )
    refused_keys: tuple[str, ...] = setting(
        (), many(node_key()), "Node keys that are neither dialled nor accepted, in hex."
    )


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """The listener for people and tools."""

    listen: str = setting(
        "127.0.0.1:7051", address(), "Where wallets, coordinators and grpcurl reach this node."
    )
    max_streams: int = setting(
        256,
        number(1, 10_000),
        "The largest number of streams that callers may hold open at a time, and of connections.",
    )
    backups: str = setting(
        "",
        text(),
        "The folder into which bearers of an admin's token may have the chain copied; empty: "
        "backups in the home.",
    )
    token_file: str = setting(
        "",
        text(),
        "A file with the token that commands and the coordinator of this home send to a node's "
        "API; empty: none.",
    )
    proxy: str = setting(
        "",
        proxy(),
        "The HTTP proxy through which commands reach a node or a coordinator on the Internet, as "
        "http://host:port; empty: none.",
    )


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The endpoint for Prometheus."""

    listen: str = setting(
        "",
        address(allow_empty=True),
        "Where Prometheus fetches metrics: by HTTPS with TLS files, else by HTTP; empty for none.",
    )


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Mutual TLS for a consortium: all three files, or none."""

    certificate: str = setting("", text(), "This node's certificate chain, a PEM file.")
    private_key: str = setting("", text(), "The key of the certificate, a PEM file.")
    authority: str = setting(
        "", text(), "The authority whose certificates are trusted, a PEM file."
    )
    insecure: bool = setting(
        False, switch(), "Listen without TLS on addresses that other machines can reach."
    )

    @property
    def enabled(self) -> bool:
        """True when the TLS files are set."""
        return bool(self.certificate)


@dataclass(frozen=True, slots=True)
class MinerConfig:
    """Computing Shapley values, in worker processes."""

    enabled: bool = setting(
        False, switch(), "Compute Shapley values, prove them, and vote; the key needs a bond."
    )
    key: str = setting("node", text(False), "The key in keys/ that bonds, signs and is paid.")
    signer: str = setting(
        "",
        unix_socket(),
        "The process of `fedcoin-node signer` that holds the key in place of `key`, as unix:PATH; "
        "empty: none.",
    )
    warm: bool = setting(
        True, switch(), "Start the worker processes before there is a task for them."
    )
    vote_without_record: bool = setting(
        False,
        switch(),
        "Vote at once although the database may lack own votes; a double vote costs the bond.",
    )
    executor: str = setting(
        "local",
        choice("local", "ray"),
        "Where coalitions are evaluated: on this machine, or on a Ray cluster.",
    )
    address: str = setting(
        "",
        text(),
        "The Ray cluster, as host:port or ray://host:port; empty: start one on this machine.",
    )
    processes: int = setting(
        0,
        number(0, 1024),
        "How many processes evaluate; 0: one for each core, or for each CPU of the Ray cluster.",
    )
    floor_price: int = setting(
        1_000,
        number(0, 10**15),
        "What this miner's share of a mining price must pay for each million evaluations, in sap, "
        "beside its fees; 0: take any task.",
    )
    request_seconds: float = setting(
        300.0,
        real(1, 86_400),
        "How long a worker process may work on one request before it is ended, in seconds.",
    )
    worker_memory_bytes: int = setting(
        8 * GIB,
        number(GIB, 1024 * GIB),
        "The memory that a worker process may take for itself, in bytes.",
    )
    sandbox: str = setting(
        "auto",
        choice(*SANDBOX_MODES),
        "Whether workers run in bubblewrap's sandbox: where it works, never, or always (no start "
        "without it).",
    )
    max_coalition_work: int = setting(
        500_000_000_000,
        number(1, 10**18),
        "The largest number of multiply-adds of one coalition on the evaluation set; tasks with "
        "more are refused.",
    )


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Bounds on what a node keeps."""

    artifact_bytes: int = setting(512 * MIB, number(KIB, 2 * GIB), "The largest artifact in bytes.")
    artifacts_total_bytes: int = setting(
        8 * GIB, number(KIB, 1024 * GIB), "All artifacts together, in bytes."
    )
    pool_transactions: int = setting(
        5000, number(1, 1_000_000), "The largest number of transactions that wait for a block."
    )
    pool_bytes: int = setting(
        32 * MIB,
        number(KIB, 4 * GIB),
        "The largest size of all transactions that wait for a block, in bytes.",
    )
    streams_of_host: int = setting(
        64,
        number(1, 10_000),
        "The largest number of streams that one host may hold open at the API.",
    )
    exempt_hosts: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        many(network()),
        "Hosts without limits of their own and without bans, such as a NAT's address.",
    )


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """What a node deletes, and when."""

    artifact_retention_hours: float = setting(
        168.0,
        real(1, 1_000_000),
        "After how many hours artifacts that no open task or campaign needs are deleted.",
    )
    campaign_bytes: int = setting(
        2 * GIB,
        number(KIB, 1024 * GIB),
        "The largest size of the artifacts kept of those fetched for one campaign's tasks, in "
        "bytes.",
    )
    archive: bool = setting(
        False,
        switch(),
        "Delete no artifact and no block, so that `verify --recompute` can check every task.",
    )


@dataclass(frozen=True, slots=True)
class SnapshotsConfig:
    """Snapshots: the state as files, from which new nodes start without replaying the chain."""

    every: int = setting(
        1000, number(0, 1_000_000_000), "Make a snapshot every this many blocks; 0: never."
    )
    keep: int = setting(2, number(1, 16), "How many snapshots are kept.")
    join_behind: int = setting(
        0,
        number(0, 1_000_000_000),
        "A node without blocks fetches a snapshot when it is more blocks behind; 0: never.",
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log, on standard error."""

    level: str = setting(
        "info",
        choice("debug", "info", "warning", "error"),
        "The least severe level that is logged.",
    )
    format: str = setting("text", choice("text", "json"), "Lines for people, or JSON objects.")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """All settings of a node."""

    peers: PeersConfig = field(default_factory=PeersConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    miner: MinerConfig = field(default_factory=MinerConfig)
    coordinator: CoordinatorConfig = field(default_factory=CoordinatorConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    snapshots: SnapshotsConfig = field(default_factory=SnapshotsConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    log: LogConfig = field(default_factory=LogConfig)


def tables() -> Mapping[str, Any]:
    """Map the name of each table in config.toml to its dataclass."""
    default = NodeConfig()
    return {f.name: type(getattr(default, f.name)) for f in dataclasses.fields(NodeConfig)}
