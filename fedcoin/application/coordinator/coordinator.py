"""The FL server: runs a campaign's rounds and has each of them valued and paid.

It prepares the initial weights and the evaluation set, opens the campaign (which puts the budget in
escrow) and waits for clients. In each round it announces the base weights, accepts signed updates
until all have come or the deadline has passed, averages them, and opens the Shapley task. Once the
miners have settled the task, the next round starts from the average, if that is better. Each step
is saved before it is announced, so that after a restart the coordinator goes on there and repeats
nothing.

The rules are elsewhere: what a valid update is, in `campaign` and `fedcoin.learning`; what a valid
task is, in `fedcoin.contract`. Computations on weights run in a worker process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import grpc

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.configuration.pinned_genesis import check_network
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.coordinator.campaign_end import explain_giving_up, find_end
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.chain_messages import build_open_campaign, compute_max_harm
from fedcoin.application.coordinator.fixed_settings import check_fixed
from fedcoin.application.coordinator.gathering import RoundGathering, check_harm_alone
from fedcoin.application.coordinator.initial_artifacts import prepare_campaign, upload_first
from fedcoin.application.coordinator.resumption import check_resumable, find_task_of_clients
from fedcoin.application.coordinator.round_record import RoundRecord, summarise
from fedcoin.application.coordinator.round_service import RoundService, coordinator_services
from fedcoin.application.coordinator.settlement import RoundSettlement
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.application.wallet.shared_account import SharedAccount, open_shared_account
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import NAMES, TERMS, format_utility
from fedcoin.learning.model.artifact_checks import job_checks
from fedcoin.learning.training.training_plan import TrainingPlan, encode_training_plan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import NO_BOUNDS, WorkerBounds
from fedcoin.network.artifacts.artifact_admission import ArtifactAdmission
from fedcoin.network.artifacts.client_admission import ClientAdmission
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.listener import Listener
from fedcoin.v1.task_pb2 import SignedReceipt
from fedcoin.v1.transaction_pb2 import CloseCampaign

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 5.0
"""How long a coordinator goes on listening after the end, so that its clients get to know of it."""


class Coordinator:
    """Runs one campaign. `start` it, `run` it to the end, `stop` it.

    Args:
        config: The coordinator's settings.
        key: Pays the budget as the model requester, and is paid the aggregation price.
        node: A connected client of the node to which transactions and artifacts go.
        chain: The network that the campaign belongs to; the node must be one of it.
        store: Keeps the artifacts; may be the node's own.
        state_path: The file with the campaign's state. If it exists, the campaign goes on.
        report: Takes one line of text for each event worth logging.
        credentials: TLS for the listener; None for plaintext.
        limits: The limits of the listener; None takes the default limits.
        bounds: The memory limit and the sandbox of the worker, which reads clients' updates.
        clock_ms: The wall clock.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        key: KeyPair,
        node: NodeClient,
        chain: ChainIdentity,
        store: ArtifactStore,
        state_path: Path,
        *,
        report: Callable[[str], None] = logger.info,
        credentials: grpc.ServerCredentials | None = None,
        limits: CallLimits | None = None,
        bounds: WorkerBounds = NO_BOUNDS,
        clock_ms: Clock = unix_ms,
    ) -> None:
        self._config = config
        self._key = key
        self._node = node
        self._chain = chain
        self._store = store
        self._file = CampaignFile(state_path)
        self._report = report
        self._credentials = credentials
        self._limits = limits
        self._clock_ms = clock_ms
        self._workers = WorkerPool(bounds=bounds)
        self._delivery = Delivery(node, key, chain, report)
        self._requester: SharedAccount | None = None
        self._listener: Listener | None = None
        self._campaign: Campaign | None = None
        self._round_service: RoundService | None = None

    @property
    def address(self) -> str:
        """`host:port` where clients reach it; after `start` with the port that was chosen."""
        return self._listener.address if self._listener else self._config.listen

    @property
    def campaign(self) -> Campaign:
        """The campaign's state, which callers must not change. Only after `start`."""
        assert self._campaign is not None, "start it first"
        return self._campaign

    @property
    def round_service(self) -> RoundService:
        """The address that clients dial. Only after `start`."""
        assert self._round_service is not None, "start it first"
        return self._round_service

    async def start(self) -> None:
        """Load the campaign, or prepare a new one, and listen.

        Raises:
            RefusalError: BAD_STATE when the campaign's file is damaged or artifacts are missing;
                NO_FILE or BAD_POLICY_FILE when that of the requester is;
                WRONG_CHAIN when its state belongs to another network, WRONG_NETWORK when the node
                does; OTHER_SETTINGS when it was begun with other settings; PORT_IN_USE or BAD_HOST
                when it cannot listen; a code of `prepare_campaign`, such as UNKNOWN_DATASET or
                BAD_MODEL, when a new campaign's data set or model cannot be used.
            RpcError: The node refuses to tell its status.
            WorkerError: The worker process cannot be started.
        """
        try:
            self._requester = await open_shared_account(self._config.requester, self._delivery)
            await self._workers.start()
            status = await self._delivery.retry_while_away(self._node.get_status)
            check_network(self._chain.genesis_hash, status, self._node.target)
            self._campaign = await self._load_or_prepare()
            await self._listen()
        except BaseException:
            await self.stop()
            raise
        self._report(f"clients reach the coordinator at {self.address}")

    async def run(self) -> tuple[RoundRecord, ...]:
        """Run the campaign to its end. Returns at once when it is finished.

        Returns:
            The outcome of every round, in order.

        Raises:
            RefusalError: GAVE_UP when no client came in time; the campaign has been closed and the
                rest of its budget returned. CAMPAIGN_FINISHED when its requester closed it,
                OTHER_SETTINGS when it was opened with another key. UNMINED_ROUND when no miner
                takes a round's tasks. TOO_LARGE when the node does not store an artifact as large
                as a shard of the evaluation set.
            RpcError: The chain refuses a transaction.
            WorkerError: The worker process died twice on the same work.
        """
        campaign = self.campaign
        if campaign.campaign_id and campaign.phase is CampaignPhase.TRAINING:
            await self._check_open()
        while campaign.phase is not CampaignPhase.FINISHED:
            if not campaign.campaign_id:
                await self._open_campaign()
            elif await self._follow_clients():
                continue
            elif campaign.phase is CampaignPhase.WAITING and campaign.pending:
                await self._give_up()  # the transaction that closes it was signed before a restart
            elif campaign.phase is CampaignPhase.WAITING:
                await self._await_clients()
            elif campaign.phase is CampaignPhase.TRAINING:
                await self._make_gathering().collect_updates()
            else:
                await self._settle()
        present = [address for address, client in campaign.clients.items() if not client.missed]
        await self.round_service.events.wait_until_informed(present, FAREWELL_SECONDS)
        return tuple(campaign.history)

    async def stop(self) -> None:
        """Close the listener and end the worker process. The campaign's file stays.

        Completes even if its caller is cancelled meanwhile.
        """
        closing = asyncio.ensure_future(self._close())
        try:
            await asyncio.shield(closing)
        finally:
            await closing

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        await self._workers.stop()

    async def _load_or_prepare(self) -> Campaign:
        campaign = await self._file.load()
        if campaign is None:
            self._report(f"preparing {self._config.model} on {self._config.dataset}")
            campaign = await prepare_campaign(self._config, self._chain, self._store, self._report)
            await self._file.save(campaign)
        else:
            check_resumable(campaign, self._chain, self._store)
            check_fixed(campaign, self._config)
            campaign.max_clients = self._config.max_clients
            if campaign.phase is not CampaignPhase.FINISHED:
                self._report(f"going on with round {campaign.round}: {campaign.phase.value}")
        campaign.max_harm_nano = compute_max_harm(self._config)
        return campaign

    async def _listen(self) -> None:
        config = self._config
        plan = TrainingPlan(config.epochs, config.batch_size, config.learning_rate, config.seed)
        self._round_service = RoundService(
            self.campaign,
            self._file,
            self._store,
            self._check_weights,
            encode_training_plan(plan),
            self._sign_receipt,
            self._report,
            NAMES[config.utility],
            self._key.public_key if config.private else b"",
        )
        self._listener = Listener(
            config.listen,
            coordinator_services(
                self._round_service, self._store, self._clock_ms, self._admission()
            ),
            setting="coordinator.listen",
            limits=self._limits,
            credentials=self._credentials,
        )
        await self._listener.start()
        await self._listener.set_serving()

    def _admission(self) -> ArtifactAdmission | None:
        """Decide who may download from the listener; None in a campaign that is not private."""
        if not self._config.private:
            return None
        return ClientAdmission(
            self._store,
            self._chain.genesis_hash,
            self._key.public_key,
            self.round_service.present_artifacts,
            self._clock_ms,
        )

    async def _open_campaign(self) -> None:
        campaign = self.campaign
        if not campaign.pending:
            node, private = self._node, self._config.private
            await upload_first(campaign, self._store, node, self._delivery, is_private=private)
        action = build_open_campaign(self._config, self._key.address, campaign)
        if self._requester is None:
            opened = await self._delivery.deliver(action, campaign.pending, self._save_pending)
            campaign.campaign_id = opened.hash
        else:
            signing = self._requester.await_signed(action, self._file.path.parent)
            campaign.campaign_id = await signing
        campaign.pending = b""
        await self._file.save(campaign)
        self.round_service.events.add_phase(campaign)
        rounds = format_count(campaign.rounds, "round")
        self._report(f"campaign {campaign.campaign_id.hex()} is open: {rounds}")

    async def _check_open(self) -> None:
        """End with CAMPAIGN_FINISHED when the campaign was closed on the chain."""
        campaign = self.campaign
        end = await self._delivery.retry_while_away(
            lambda: find_end(self._node, campaign, self._key.address)
        )
        if end is not None:
            await self._finish()
            raise end

    async def _await_clients(self) -> None:
        """Wait for enough clients, then announce the round; without any, end the campaign."""
        await self._check_open()
        gathering = self._make_gathering()
        if not await gathering.wait_for_clients():
            await self._give_up()
        await gathering.begin_training()

    async def _settle(self) -> None:
        """Have the round valued and paid."""
        campaign, events = self.campaign, self.round_service.events
        settlement = self._make_settlement()
        if not campaign.aggregate:
            await settlement.aggregate(campaign)
            await self._file.save(campaign)
            measure = NAMES[self._config.utility]
            value = format_utility(measure, campaign.utility, campaign.shard.size)
            self._report(f"round {campaign.round}: {TERMS[measure].title} of the average: {value}")
        record: RoundRecord | None = None
        while record is None:
            try:
                task_id = await settlement.open_task(campaign, self._save_pending)
            except RpcError as error:
                if await self._follow_clients():
                    return
                await settlement.wait_for_clients(campaign, error)
                continue
            self._report(f"round {campaign.round}: task {task_id.hex()} is being mined")
            events.add_phase(campaign, task_id)
            record = await settlement.wait_for_end(campaign, task_id)
            # The transaction has done its part, so that the next one is signed anew.
            campaign.pending = b""
        await self._end_round(record)

    async def _follow_clients(self) -> bool:
        """Take over the present round when clients with receipts opened it in this server's place.

        They may do so while this coordinator is down, or waits for too long to open it.

        Returns:
            Whether they did. Their task is closed then, and with it the round, unless it failed
            without work by miners.
        """
        campaign = self.campaign
        view = await self._delivery.retry_while_away(
            lambda: find_task_of_clients(self._node, campaign)
        )
        if view is None:
            return False
        self._report(
            f"round {campaign.round}: its clients opened task {view.task_id} in this server's place"
        )
        settlement = self._make_settlement()
        record = await settlement.follow_task(campaign, view)
        campaign.pending = b""
        if record is not None:
            await self._end_round(record)
        return True

    def _make_gathering(self) -> RoundGathering:
        return RoundGathering(
            self._config,
            self.campaign,
            self._file,
            self.round_service,
            self._node,
            self._delivery,
            self._report,
            self._clock_ms,
        )

    def _make_settlement(self) -> RoundSettlement:
        return RoundSettlement(
            self._config, self._node, self._store, self._workers, self._delivery, self._report
        )

    async def _end_round(self, record: RoundRecord) -> None:
        campaign, events = self.campaign, self.round_service.events
        campaign.end_round(record)
        await self._file.save(campaign)
        self._report(summarise(record))
        events.add_round_end(campaign, record)
        events.add_phase(campaign)

    async def _give_up(self) -> None:
        """Close the campaign, unless its requester has to do so, and raise GAVE_UP."""
        campaign = self.campaign
        if self._requester is None:
            closing = CloseCampaign(campaign_id=campaign.campaign_id)
            await self._delivery.deliver(closing, campaign.pending, self._save_pending)
            campaign.pending = b""
            await self._finish()
        raise explain_giving_up(campaign, self._config)

    async def _finish(self) -> None:
        self.campaign.phase = CampaignPhase.FINISHED
        await self._file.save(self.campaign)
        self.round_service.events.add_phase(self.campaign)

    async def _save_pending(self, raw: bytes) -> None:
        self.campaign.pending = raw
        await self._file.save(self.campaign)

    async def _check_weights(self, update: bytes) -> None:
        campaign, store = self.campaign, self._store
        model, weights = store.path(campaign.model), store.path(update)
        await self._workers.run(
            "while checking an update", job_checks.check_update_file, model, weights
        )
        await check_harm_alone(self._config, campaign, store, self._workers, update)

    def _sign_receipt(self, update: Update) -> SignedReceipt:
        return sign_receipt(update, self._clock_ms(), self._key, self._chain.genesis_hash)
