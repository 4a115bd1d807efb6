"""The campaign of a paid Flower federation: opened, followed round by round, and saved.

Each step is saved before it is announced, so that a server that was killed goes on where it was.
All methods are coroutines of one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.configuration.pinned_genesis import check_network
from fedcoin.application.configuration.private_folders import lock_folder, make_folder
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase, EvaluationShard
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.chain_messages import build_open_campaign, compute_max_harm
from fedcoin.application.coordinator.clients_file import follow_clients_file, read_clients_file
from fedcoin.application.coordinator.gathering import check_harm_alone
from fedcoin.application.coordinator.initial_artifacts import build_initial_artifacts
from fedcoin.application.coordinator.participation import HarmBalance
from fedcoin.application.coordinator.resumption import check_resumable
from fedcoin.application.coordinator.round_record import RoundRecord, summarise
from fedcoin.application.coordinator.settlement import RoundSettlement
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.updates import Update
from fedcoin.integrations.flower.campaign_terms import one_round_of
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.measures.terms import NAMES
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.v1.artifact_pb2 import ArtifactManifest, ModelSpec
from fedcoin.v1.transaction_pb2 import CloseCampaign

_STORE_BYTES: Final = 8 << 30
_MAX_ROUND_MS: Final = 365 * 86_400_000
# Flower decides when a round of training ends.
_FILE: Final = "campaign.json"
_ARCHIVE: Final = "round-*.json"


class PaidRounds:
    """Runs the campaign: `open`, `choose`; then for each round `begin`, `submit`, `accept`, `end`.

    Args:
        config: The campaign's settings.
        key: Pays the budget, and is the campaign's server.
        genesis_hash: The genesis hash of the network, 32 bytes.
        target: `host:port` of the node.
        folder: Where state and artifacts are kept; one campaign in one process uses it.
        report: Takes one line of text for each event worth logging.
        credentials: TLS for the node; None for plaintext.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        key: KeyPair,
        genesis_hash: bytes,
        target: str,
        folder: Path,
        report: Callable[[str], None],
        credentials: Credentials | None = None,
    ) -> None:
        self._config = config
        self._key = key
        self._genesis_hash = genesis_hash
        self._target = target
        self._folder = folder
        self._report = report
        self._credentials = credentials
        self._campaign: Campaign | None = None
        self._is_round_each = False
        self._model = self._frozen = b""
        self._shards: tuple[EvaluationShard, ...] = ()
        self._submitted: set[bytes] = set()
        """The addresses whose updates were submitted in the present round."""

    @property
    def campaign(self) -> Campaign:
        """The present campaign, which callers must not change. Only after `begin`."""
        assert self._campaign is not None, "begin a round first"
        return self._campaign

    @property
    def base(self) -> bytes:
        """The weights that the present campaign's next round starts from, as encoded tensors."""
        return self._store.read(self.campaign.base)

    async def open(self) -> None:
        """Connect to the node, and load the campaign; a round that waits for its end is ended.

        Raises:
            RefusalError: HOME_IN_USE when another process uses the folder; WRONG_NETWORK when the
                node belongs to another network; BAD_STATE or WRONG_CHAIN when the saved campaign is
                damaged or another network's.
            RpcError: The node refuses a call.
        """
        # Anew for each run, as they belong to the run's event loop.
        self._resources = AsyncExitStack()
        self._file = CampaignFile(self._folder / _FILE)
        self._workers = WorkerPool()
        make_folder(self._folder)
        self._resources.enter_context(lock_folder(self._folder))
        client = NodeClient(self._target, credentials=self._credentials)
        self._node = await self._resources.enter_async_context(client)
        self._background = await self._resources.enter_async_context(BackgroundTasks("paid rounds"))
        self._resources.push_async_callback(self._workers.stop)
        status = await self._node.get_status()
        check_network(self._genesis_hash, status, self._target)
        self._chain = ChainIdentity(status.chain_id, self._genesis_hash)
        self._delivery = Delivery(self._node, self._key, self._chain, self._report)
        self._store = ArtifactStore((self._folder / "artifacts").absolute(), _STORE_BYTES)
        self._campaign = await self._file.load()
        if self._campaign is not None:
            check_resumable(self._campaign, self._chain, self._store)
            await self._add_earlier_harm(self._campaign)
            self._model, self._shards = self._campaign.model, self._campaign.shards
            self._frozen = self._campaign.frozen
            if self._campaign.phase is CampaignPhase.SETTLING:
                await self._settle(self._campaign)

    async def close(self) -> None:
        """End the worker process and the connection. The campaign's file stays."""
        await self._resources.aclose()

    async def load_model(self) -> ModelSpec:
        """Build the model and the evaluation set, or read them from the saved campaign.

        Returns:
            The ModelSpec, which was checked.

        Raises:
            RefusalError: UNKNOWN_DATASET, BAD_DATASET or BAD_SHARE when the data set is missing,
                invalid or too small; UNKNOWN_MODEL or BAD_MODEL when the model cannot be read or
                does not fit it.
            WorkerError: The process that builds them died.
        """
        if not self._model:
            config = self._config
            self._report(f"preparing {config.model} on {config.dataset}")
            built = await build_initial_artifacts(
                config.dataset,
                config.model,
                config.seed,
                evaluation_size=config.evaluation_size,
                num_shards=config.evaluation_shards or config.rounds,
                scale=config.input_scale,
                utility=NAMES[config.utility],
                trained=config.trained,
            )
            self._report(f"evaluation set {config.dataset}: {built.describe_inputs()}")
            sizes = built.evaluation.sizes
            stored = [self._store.put(shard) for shard in built.evaluation.shards]
            pairs = zip(stored, sizes, strict=True)
            self._shards = tuple(EvaluationShard(artifact, size) for artifact, size in pairs)
            self._model = self._store.put(built.model)
            self._frozen = self._store.put(built.frozen) if built.frozen else b""
        return parse_spec(self._store.read(self._model))

    def choose(self, *, is_round_each: bool) -> None:
        """Choose between one campaign for all rounds, and one for each round.

        Args:
            is_round_each: Whether each round has a campaign of its own, for strategies whose
                model is not the average of the updates: the chain lets a later round start only
                from the average of the one before.

        Raises:
            RefusalError: BAD_STATE when the saved campaign is of the other kind; BAD_CONFIG when
                there are several shards, which only one campaign for all rounds can use in turn.
        """
        if is_round_each and self._config.evaluation_shards != 1:
            raise RefusalError(
                ApplicationCode.BAD_CONFIG,
                f"evaluation_shards is {self._config.evaluation_shards}; with this strategy each"
                " round is a campaign of its own, which is valued on the whole set: use 1",
                field="campaign.evaluation_shards",
                limit="1",
            )
        self._is_round_each = is_round_each
        saved = self._campaign
        rounds = 1 if is_round_each else self._config.rounds
        if saved is not None and saved.rounds != rounds:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{self._folder / _FILE} is a campaign of {saved.rounds} rounds; this strategy"
                f" with these settings needs one of {rounds}: use the strategy and the number of"
                " rounds that the campaign was begun with, or another folder",
                field="rounds",
                limit=str(saved.rounds),
            )

    def count_left(self) -> int:
        """Return how many rounds the budget still pays for."""
        campaign = self._campaign
        ended = len(campaign.history) if campaign is not None else 0
        return self._config.rounds - ended - len(list(self._folder.glob(_ARCHIVE)))

    async def begin(self, initial: bytes) -> None:
        """Open the campaign if need be, and begin its next round.

        Args:
            initial: The weights that a new campaign starts from, as encoded tensors; not used by
                an open one.

        Raises:
            RefusalError: BAD_ARTIFACT, TOO_LARGE or STORE_FULL when an artifact is empty, too large
                or has no room in the store; BAD_CONFIG when the file of clients is missing or
                invalid.
            RpcError: The chain refuses a transaction.
        """
        campaign = self._campaign
        if campaign is None or (self._is_round_each and campaign.phase is CampaignPhase.FINISHED):
            campaign = await self._begin_campaign(initial)
        if not campaign.campaign_id:
            await self._open_on_chain(campaign)
        changed = await follow_clients_file(
            self._config.clients_file, campaign, self._node, self._delivery, self._report
        )
        # Updates of a run that was killed: their clients train again.
        campaign.updates, campaign.announced = {}, {}
        self._submitted = set()
        campaign.begin_training(unix_ms() + _MAX_ROUND_MS)
        if changed:
            # A round that only trains need not be on the disk: it begins anew after a restart.
            await self._file.save(campaign)
        self._background.start(self._start_workers(), "workers")

    async def _start_workers(self) -> None:
        """Start the worker process while clients train, so that the valuation need not wait."""
        # The first call that needs the worker tries again, and says what is wrong.
        with contextlib.suppress(WorkerError):
            await self._workers.start()

    async def submit(self, update: Update, weights: bytes, manifest: ArtifactManifest) -> None:
        """Check whether a client may hand in an update in the present round, and store its weights.

        Args:
            update: The update; its signature and its weights were checked.
            weights: The encoded tensors whose artifact id it names.
            manifest: What `build_manifest` returned for the weights.

        Raises:
            RefusalError: ALREADY_SUBMITTED when its client has submitted an update in this round;
                NOT_LISTED, LEFT_OUT, CAMPAIGN_FULL or CAMPAIGN_FINISHED when the client may not
                take part; WRONG_CAMPAIGN, WRONG_ROUND or WRONG_BASE when it was signed for another
                one; HARMFUL_UPDATE when it ruins the model by itself; STORE_FULL when the store has
                no room for its weights.
            WorkerError: The worker process died twice.
        """
        campaign = self.campaign
        campaign.register(update.public_key)
        if update.address in self._submitted:
            what = f"this client has submitted an update for round {campaign.round} already"
            raise RefusalError(ApplicationCode.ALREADY_SUBMITTED, what, field="update.address")
        campaign.announce(update)
        self._submitted.add(update.address)
        await asyncio.to_thread(self._store.put, weights, manifest)
        await check_harm_alone(self._config, campaign, self._store, self._workers, update.update)

    async def accept(self, updates: Iterable[Update]) -> None:
        """Take updates into the present round.

        Args:
            updates: Updates that `submit` did not refuse.
        """
        for update in updates:
            self.campaign.accept_update(update)

    async def end_training(self) -> None:
        """Take no more updates in the present round; a restart goes on with those there are."""
        self.campaign.end_training()
        await self._file.save(self.campaign)

    async def end(self) -> RoundRecord | None:
        """Have the present round valued and paid; wait until it is.

        Returns:
            The outcome; None when no client submitted an update: the round can begin again.

        Raises:
            RefusalError: UNMINED_ROUND when `settlement.MAX_FAILURES` tasks of the round failed
                without work by miners.
            RpcError: The chain refuses the task.
            WorkerError: The worker process died twice on the same work.
        """
        campaign = self.campaign
        if campaign.phase is CampaignPhase.TRAINING:
            await self.end_training()
        if campaign.phase is not CampaignPhase.SETTLING:
            return None
        return await self._settle(campaign)

    async def return_rest(self) -> None:
        """Close the campaign, which returns what is left of its budget.

        Raises:
            RpcError: The chain refuses the transaction.
        """
        campaign = self._campaign
        if campaign is None or not campaign.campaign_id:
            return
        if campaign.phase is not CampaignPhase.FINISHED:
            action = CloseCampaign(campaign_id=campaign.campaign_id)
            await self._delivery.deliver(action, campaign.pending, self._save_pending)
            campaign.pending, campaign.phase = b"", CampaignPhase.FINISHED
            await self._file.save(campaign)
            ending = (
                "closes when its clients can register no receipts any more, and the rest returns"
                if self._config.receipt_seconds
                else "is closed; the rest is returned"
            )
            self._report(f"campaign {campaign.campaign_id.hex()} {ending}")

    async def _begin_campaign(self, initial: bytes) -> Campaign:
        config, earlier = self._config, self._campaign
        if earlier is not None:
            os.replace(self._folder / _FILE, self._folder / f"round-{self._next_number():05d}.json")
        if self._is_round_each:
            config = one_round_of(config)
        weights = await asyncio.to_thread(self._store.put, initial)
        self._campaign = Campaign(
            chain_id=self._chain.chain_id,
            genesis_hash=self._genesis_hash,
            rounds=config.rounds,
            max_clients=config.max_clients,
            model=self._model,
            initial=weights,
            frozen=self._frozen,
            base=weights,
            shards=self._shards,
            listed=await asyncio.to_thread(read_clients_file, config.clients_file),
            max_harm_nano=self._compute_max_harm(config),
            harm=earlier.harm if earlier is not None else HarmBalance(),
        )
        await self._file.save(self._campaign)
        return self._campaign

    def _compute_max_harm(self, terms: CoordinatorConfig) -> int:
        # A part of what all rounds pay, also where the present campaign is one round of them.
        return compute_max_harm(terms) * self._config.rounds // terms.rounds

    async def _add_earlier_harm(self, campaign: Campaign) -> None:
        """Count the harm in the campaigns of earlier rounds, so that no client starts anew."""
        campaign.max_harm_nano = self._compute_max_harm(self._terms())
        campaign.harm = HarmBalance()
        for path in sorted(self._folder.glob(_ARCHIVE)):
            earlier = await CampaignFile(path).load()
            for record in earlier.history if earlier is not None else ():
                campaign.harm.add(record)
        for record in campaign.history:
            campaign.harm.add(record)

    def _next_number(self) -> int:
        return len(list(self._folder.glob(_ARCHIVE))) + 1

    async def _open_on_chain(self, campaign: Campaign) -> None:
        action = build_open_campaign(self._terms(), self._key.address, campaign)
        opened = await self._delivery.deliver(action, campaign.pending, self._save_pending)
        campaign.campaign_id = opened.hash
        campaign.pending = b""
        await self._file.save(campaign)
        self._report(f"campaign {opened.hash.hex()} is open, its budget in escrow")

    async def _settle(self, campaign: Campaign) -> RoundRecord:
        settlement = RoundSettlement(
            self._terms(), self._node, self._store, self._workers, self._delivery, self._report
        )
        if not campaign.aggregate:
            await settlement.aggregate(campaign)
            await self._file.save(campaign)
        record: RoundRecord | None = None
        while record is None:
            task_id = await settlement.open_task(campaign, self._save_pending)
            self._report(f"round {campaign.round}: task {task_id.hex()} is being mined")
            record = await settlement.wait_for_end(campaign, task_id)
            campaign.pending = b""
        campaign.end_round(record)
        await self._file.save(campaign)
        self._report(summarise(record))
        return record

    def _terms(self) -> CoordinatorConfig:
        # From the saved campaign, whose last round may be ended before `choose` is called.
        is_whole = self.campaign.rounds == self._config.rounds
        return self._config if is_whole else one_round_of(self._config)

    async def _save_pending(self, raw: bytes) -> None:
        self.campaign.pending = raw
        await self._file.save(self.campaign)
