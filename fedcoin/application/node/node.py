"""The node: all parts put together, started in order and stopped in reverse.

    home ── store ── ledger ── chain ──┬── consensus driver, vote signer ──┐
                                       ├── intake ── auditor ── workers    ├── peers' listener
                                       ├── miner ──────────┘               │
                                       └── API's listener, operator's socket

A node that does not mine follows the chain, relays and answers queries. It does not vote, and
starts its worker process only when a task's artifacts must be checked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from fedcoin import __version__
from fedcoin.application.configuration.config import NodeConfig, SnapshotsConfig
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.network_options import host_groups, peer_options, tls_files
from fedcoin.application.configuration.worker_bounds import choose_bounds
from fedcoin.application.mining.campaign_quota import CampaignQuota
from fedcoin.application.mining.executor import make_pool, start_early
from fedcoin.application.mining.miner import Miner
from fedcoin.application.mining.task_evaluator import TaskJobs
from fedcoin.application.mining.work_store import WorkFolder
from fedcoin.application.node.block_auditor import Auditor, ObserverAudit
from fedcoin.application.node.chain import NewBlock
from fedcoin.application.node.components import NodeComponents
from fedcoin.application.node.consensus_driver import ConsensusDriver
from fedcoin.application.node.local_access import LocalAccess
from fedcoin.application.node.mempool_file import MempoolFile
from fedcoin.application.node.metrics.declarations import EventCounts, ObservedNode
from fedcoin.application.node.metrics.metrics_server import MetricsServer
from fedcoin.application.node.node_facts import Facts, NodeOperator
from fedcoin.application.node.process_age import process_age_ms
from fedcoin.application.node.snapshot_maker import SnapshotMaker
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.node.voting.equivocation_reporter import EquivocationReporter
from fedcoin.application.node.voting.guarded_signer import open_miner_key, open_signer
from fedcoin.application.node.watching.block_log import log_block
from fedcoin.application.node.watching.certificate_watch import (
    open_certificate_watch,
    watch_certificates,
)
from fedcoin.application.node.watching.clock_watch import median_difference_ms, watch_clocks
from fedcoin.application.node.watching.failure import FailureWatch, disk_failures_of
from fedcoin.application.node.watching.validator_presence import ValidatorPresence
from fedcoin.application.node.watching.vote_watch import (
    VoteWatch,
    VotingPosition,
    has_own_vote,
    longest_vote_ms,
    watch_votes,
)
from fedcoin.application.retention.artifact_retention import ArtifactKeeper, find_needed
from fedcoin.application.wallet.transaction_submitter import TransactionSubmitter
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.pending.mempool_usage import MempoolLimits
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import steady_ms, unix_ms
from fedcoin.data.crypto.keys import SigningKey
from fedcoin.data.plurals import format_count
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.network.api.api_server import ApiServer
from fedcoin.network.api.backend import ApiBackend
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.network.peers.sync.snapshot_sync import SnapshotOptions
from fedcoin.network.ports.peers_port import PeerInfo

log = logging.getLogger(__name__)

AGENT = f"fedcoin-node/{__version__}"
"""What this program calls itself to its peers."""

HONEST_COMPONENTS = NodeComponents()
"""The parts of an honest node."""


class Node:
    """One node of one home, which `open_node` makes, starts and stops.

    Args:
        config: All settings of the node.
        home: The folder with the node's keys and files.
        store: The node's database.
        stopping: Set when the node should stop.
        components: The replaceable parts.
    """

    def __init__(
        self,
        config: NodeConfig,
        home: Home,
        store: ChainStore,
        stopping: asyncio.Event,
        components: NodeComponents,
    ) -> None:
        mining = config.miner.enabled
        self.key = home.key(NODE_KEY)
        key = self.miner_key = open_miner_key(config.miner, home) if mining else None
        self._components = components
        self.owner = BackgroundTasks("node")
        sizes = config.limits
        self.artifacts = ArtifactStore(
            home.artifacts_path.absolute(), sizes.artifacts_total_bytes, sizes.artifact_bytes
        )
        retention_s = 3600 * config.storage.artifact_retention_hours
        keeper = ArtifactKeeper(home, self.artifacts, store, retention_s)
        self._keeper = None if config.storage.archive else keeper
        # Workers read artifacts, and nothing else of the home.
        readable = [self.artifacts.folder]
        bounds, sandbox = choose_bounds(config.miner, readable, [home.root.absolute()])
        self.worker = make_pool(config.miner, bounds)
        genesis = home.genesis()
        self.chain = components.make_chain(store, Ledger(store, genesis), unix_ms)
        work = config.miner.max_coalition_work
        needed, room = partial(find_needed, home, store), config.storage.campaign_bytes
        fetched, archive = home.root / "fetched", config.storage.archive
        quota = CampaignQuota(self.artifacts, room, needed, fetched, is_archive=archive)
        self.jobs = TaskJobs(self.worker, self.artifacts, self._ensure, work, quota)
        auditor = Auditor(self.chain, self.jobs)
        audit = auditor if mining else ObserverAudit(auditor, self.key.address)
        limits = MempoolLimits(sizes.pool_transactions, sizes.pool_bytes)
        self.pool = TransactionIntake(Mempool(limits), self.chain, audit, self.owner, unix_ms)
        signer = open_signer(key, config.miner, home, self.chain, self._peers) if key else None
        self.agreement = ConsensusDriver(self.chain, self.pool, audit, signer, self.owner, unix_ms)
        self.network = components.make_network(
            peer_options(config),
            self.key,
            AGENT,
            chain=self.chain,
            pool=self.pool,
            agreement=self.agreement,
            importer=self.chain,
            artifacts=self.artifacts,
            reader=self.miner_key,
            book_path=home.peers_path,
            snapshots=self._snapshots(config.snapshots, SnapshotFolder(home.snapshots_path)),
        )
        self.presence = ValidatorPresence(
            self.chain.ledger,
            (self.miner_key or self.key).public_key,
            lambda: [peer.node_key for peer in self.network.peers()],
            genesis.parameters.max_block_interval_ms,
            unix_ms,
        )
        self.agreement.on_vote(self.presence.note_vote)
        self.certificates = open_certificate_watch(tls_files(config), unix_ms)
        self.votes = VoteWatch(longest_vote_ms(genesis.parameters), unix_ms)
        self.agreement.on_own_vote(self.votes.note_vote)
        self.facts = Facts(
            node_key=self.key.public_key,
            address=(self.miner_key or self.key).address,
            mining=mining,
            presence=self.presence,
            votes=self.votes,
            certificates=self.certificates,
            read_clocks=lambda: median_difference_ms(self.network.peers()),
            worker_sandbox=sandbox,
            max_artifact_bytes=config.limits.artifact_bytes,
        )
        backend = ApiBackend(
            self.chain,
            self.pool,
            self.network,
            self.artifacts,
            self.facts,
            NodeOperator(stopping, lambda: None if self.miner is None else self.miner.draining),
        )
        self.api = ApiServer(
            backend,
            listen=config.api.listen,
            admin=home.admin_socket,
            credentials=Security(
                tls_files(config), insecure=config.tls.insecure
            ).server_credentials(),
            limits=CallLimits(
                max_connections=config.api.max_streams,
                max_streams=config.api.max_streams,
                max_streams_of_host=config.limits.streams_of_host,
                hosts=host_groups(config),
            ),
            tokens=home.tokens_path,
            backups=Path(config.api.backups or home.backups_path),
        )
        self.failures = FailureWatch(stopping, self._set_not_serving)
        self.owner.on_failure(self.failures.note)
        self.network.on_failure(self.failures.note)
        self.api.on_failure(self.failures.note)
        self.miner = (
            self._miner(self.miner_key, home.root / "work", config.miner.floor_price)
            if self.miner_key
            else None
        )
        self.metrics = self._metrics(config, home) if config.metrics.listen else None
        self._warm = config.miner.warm
        self._stopping = stopping
        self._mempool_file = MempoolFile(home.mempool_path, self.pool)
        self.pool.on_admitted(self.network.transaction_relay.relay)
        self.chain.on_block(self._tell_peers)
        self.chain.on_block(log_block)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts.

        Args:
            stack: Gets the callbacks that stop them, in reverse order.

        Raises:
            RefusalError: PORT_IN_USE when an address cannot be bound; NOT_SECURE for a plaintext
                listener that other machines can reach.
        """
        stack.push_async_callback(self.worker.stop)
        stack.callback(self._mempool_file.save)
        stack.push_async_callback(self.owner.stop)
        stack.callback(self.agreement.stop)
        stack.push_async_callback(self.network.stop)
        stack.push_async_callback(self.api.stop)
        # The API starts first: when its port is taken, no peer has heard of this node yet.
        await self.api.start()
        if self.metrics is not None:
            self.metrics.start()
            stack.push_async_callback(asyncio.to_thread, self.metrics.stop)
        await self.network.start()
        self.agreement.start(self.network.consensus)
        watch = partial(self.presence.watch, lambda: self.chain.catching_up)
        self.owner.keep_running(watch, name="presence")
        follow = partial(watch_votes, self.votes, self._voting_position, self.api.set_voting)
        self.owner.keep_running(follow, name="votes")
        if self.certificates is not None:
            watch = partial(watch_certificates, self.certificates)
            self.owner.keep_running(watch, name="certificates")
        # Half of what the other validators tolerate.
        limit_ms = self.chain.genesis.parameters.max_clock_drift_ms // 2
        compare = partial(watch_clocks, self.facts.clock_difference_ms, limit_ms, steady_ms)
        self.owner.keep_running(compare, name="clocks")
        self._mempool_file.load()
        self.owner.keep_running(self._mempool_file.run, name="mempool file")
        if self._keeper is not None:
            self.owner.keep_running(self._keeper.run, name="artifacts")
        if self.miner is not None:
            if self._warm:
                self.owner.start(start_early(self.worker), name="worker")
            self.owner.start(self.miner.run(), name="miner", vital=True)
            self.owner.start(self._stop_when_drained(self.miner), name="draining")
        if self._components.run_beside is not None:
            beside = self._components.run_beside(self.network, self.chain, self.artifacts)
            self.owner.start(beside, name="beside")
        await self.api.set_serving()
        self.facts.start_ms = process_age_ms()

    def apply_settings(self, config: NodeConfig) -> str:
        """Take the settings that can change while the node runs: `peers.refused_keys`.

        Args:
            config: The new settings.

        Returns:
            A phrase for the log.
        """
        refused = peer_options(config).refused_keys
        self.network.refuse_keys(refused)
        return f"{format_count(len(refused), 'node key')} refused; others apply at the next start"

    async def _stop_when_drained(self, miner: Miner) -> None:
        await miner.draining.wait()
        self._stopping.set()

    async def _set_not_serving(self) -> None:
        await asyncio.gather(self.api.set_not_serving(), self.network.set_not_serving())

    def _voting_position(self) -> VotingPosition:
        at, key = self.agreement.status(), (self.miner_key or self.key).public_key
        is_validator = self.chain.ledger.validators().by_key(key) is not None
        is_voting = is_validator and self.miner_key is not None and not self.chain.catching_up
        voted = has_own_vote(self.agreement.messages_for(at.height), key, at.round)
        return VotingPosition(at.height, at.round, self.agreement.is_started, is_voting, voted)

    def _peers(self) -> Sequence[PeerInfo]:
        # The network is made later, from parts that need this function.
        network: PeerNetwork | None = getattr(self, "network", None)
        return network.peers() if network is not None else ()

    def _snapshots(self, config: SnapshotsConfig, folder: SnapshotFolder) -> SnapshotOptions:
        chain = self.chain
        maker = SnapshotMaker(
            chain.store, chain.genesis, folder, self.owner, every=config.every, keep=config.keep
        )

        def after_block(new: NewBlock) -> None:
            if not chain.catching_up:
                maker.after_block(new.block.height)

        chain.on_block(after_block)
        return SnapshotOptions(folder, config.join_behind)

    def _metrics(self, config: NodeConfig, home: Home) -> MetricsServer:
        events = EventCounts()
        self.chain.on_block(events.note_block)
        self.pool.on_admitted(events.note_admitted)
        observed = ObservedNode(
            chain=self.chain,
            pool=self.pool,
            network=self.network,
            artifacts=self.artifacts,
            workers=self.worker,
            facts=self.facts,
            database=home.chain_path,
            events=events,
        )
        endpoint = parse_endpoint(config.metrics.listen, "metrics.listen", any_port=True)
        tls = tls_files(config)
        Security(tls, insecure=config.tls.insecure).check_listen(endpoint)
        return MetricsServer(observed, endpoint, tls)

    def _miner(self, key: SigningKey, folder: Path, floor_price: int) -> Miner:
        wallet = TransactionSubmitter(
            LocalAccess(self.chain, self.pool), key, self.chain.genesis.identity
        )

        self.agreement.on_equivocation(EquivocationReporter(wallet, self.owner).report)
        parts = (
            key,
            self.chain,
            self.pool,
            self.jobs,
            wallet.submit,
            WorkFolder(folder),
            unix_ms,
        )
        return self._components.make_miner(*parts, floor_price=floor_price)

    def _tell_peers(self, new: NewBlock) -> None:
        self.network.transaction_relay.note_final(new.execution.transactions)
        self.network.announcer.announce(new.block.height, new.block.hash)

    async def _ensure(self, limits: Mapping[bytes, int], timeout_s: float, room: bytes) -> bool:
        # No peer sends a private campaign's artifacts to a key that may not read them.
        if room and not self.chain.may_read(room, self.facts.address):
            return False
        # The network is made later, from parts that need this function.
        ensure = self.network.artifact_fetcher.ensure
        return await ensure(list(limits), timeout_s, limits=limits, campaign_id=room)


@asynccontextmanager
async def open_node(
    config: NodeConfig,
    home: Home,
    stopping: asyncio.Event,
    components: NodeComponents = HONEST_COMPONENTS,
) -> AsyncIterator[Node]:
    """Run a node while the `with` block runs.

    Args:
        config: All settings of the node.
        home: The folder with the node's keys and files, which is locked meanwhile.
        stopping: Set when the node should stop.
        components: The replaceable parts; the default ones are honest.

    Yields:
        The running node.

    Raises:
        RefusalError: HOME_IN_USE when another process uses the home; PORT_IN_USE when an address
            cannot be bound; a code such as BAD_GENESIS, NO_KEY or BAD_STORE for a bad file.
        NodeFailedError: The disk is full or broken.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(home.locked())
        genesis = home.genesis()
        with disk_failures_of("start"):
            store = ChainStore.open(home.chain_path, genesis)
            stack.callback(store.close)
            store.initialise(genesis_changes(genesis))
            node = Node(config, home, store, stopping, components)
            await node.start(stack)
        log.info(
            "serving: peers on %s, API on %s, height %d%s",
            node.network.address,
            node.api.address,
            node.chain.height(),
            ", mining" if node.facts.mining else "",
        )
        if node.metrics is not None:
            log.info("metrics on %s", node.metrics.address)
        yield node
        log.info("stopping at height %d", node.chain.height())
