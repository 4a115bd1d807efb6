"""The FL server: drives a campaign's rounds and has each of them valued and paid.

In order: it makes the first weights and the evaluation set, opens the campaign (the budget goes
into escrow), and waits for clients. Each round it announces the base weights, takes signed
updates until all have come or the time is over, averages them, and opens the Shapley task; when
the miners have settled it, the next round begins from the average. Where it stands is on disk
before anybody is told, so that a restart goes on there and repeats nothing.

It holds no rules: what an update must be is for ``fedcoin.learning``, what a task must be for
``fedcoin.contract``. Arithmetic on weights runs in a worker process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import grpc

from fedcoin.application.configuration.config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, Phase, RoundRecord
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.chain_messages import build_open_campaign, encode_training_plan
from fedcoin.application.coordinator.initial_artifacts import prepare_campaign
from fedcoin.application.coordinator.round_service import RoundService, services
from fedcoin.application.coordinator.settlement import RoundSettlement
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.plurals import format_count
from fedcoin.learning.model import artifact_checks
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.listener import Listener
from fedcoin.v1.transaction_pb2 import CloseCampaign

logger = logging.getLogger(__name__)

FAREWELL_SECONDS = 5.0
"""How long a finished coordinator waits for its clients to hear of it."""


class Coordinator:
    """One campaign. ``start`` it, ``run`` it to the end, ``stop`` it.

    ``key`` pays and is paid. ``store`` keeps the artifacts and may be a node's own; ``state_path``
    is where the campaign stands, and is gone on with if it is there. ``report`` is told,
    in a line, what happened.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        key: KeyPair,
        node: NodeClient,
        store: ArtifactStore,
        state_path: Path,
        *,
        report: Callable[[str], None] = logger.info,
        credentials: grpc.ServerCredentials | None = None,
        clock_ms: Clock = unix_ms,
    ) -> None:
        self._config = config
        self._key = key
        self._node = node
        self._store = store
        self._file = CampaignFile(state_path)
        self._report = report
        self._credentials = credentials
        self._clock_ms = clock_ms
        self._worker = WorkerPool()
        self._delivery = Delivery(node, key, "", report)
        self._listener: Listener | None = None
        self._campaign: Campaign | None = None
        self._desk: RoundService | None = None

    @property
    def address(self) -> str:
        """host:port where clients reach it, with the real port."""
        return self._listener.address if self._listener else self._config.listen

    @property
    def campaign(self) -> Campaign:
        """Where the campaign stands; not to be changed."""
        assert self._campaign is not None, "start it first"
        return self._campaign

    @property
    def desk(self) -> RoundService:
        """Where clients come to."""
        assert self._desk is not None, "start it first"
        return self._desk

    async def start(self) -> None:
        """Take the campaign up, or make a new one, and listen.

        Raises Refusal: BAD_STATE, WRONG_CHAIN when the state is another network's, those of
        ``preparation``, PORT_IN_USE and BAD_HOST.
        """
        try:
            await self._worker.start()
            chain_id = (await self._delivery.retry_while_away(self._node.get_status)).chain_id
            self._delivery = Delivery(self._node, self._key, chain_id, self._report)
            campaign = await self._file.load()
            if campaign is None:
                self._report(f"preparing {self._config.model} on {self._config.dataset}")
                campaign = await prepare_campaign(self._config, chain_id, self._store)
                await self._file.save(campaign)
            else:
                self._check_resumable(campaign, chain_id)
                if campaign.phase is not Phase.FINISHED:
                    self._report(f"going on with round {campaign.round}: {campaign.phase.value}")
            self._campaign = campaign
            self._desk = RoundService(
                campaign,
                self._file,
                self._store,
                self._check_weights,
                encode_training_plan(self._config),
                self._report,
            )
            self._listener = Listener(
                self._config.listen,
                services(self._desk, self._store, self._clock_ms),
                credentials=self._credentials,
            )
            await self._listener.start()
            await self._listener.set_serving()
        except BaseException:
            await self.stop()
            raise
        self._report(f"clients reach the coordinator at {self.address}")

    async def run(self) -> tuple[RoundRecord, ...]:
        """Drive the campaign to its end; every round's record. At once when it is finished.

        Raises Refusal GAVE_UP when no client came in time (what is left of the budget is back
        then); what the chain refuses as RpcFailure; WorkerFailed.
        """
        campaign = self.campaign
        while campaign.phase is not Phase.FINISHED:
            if not campaign.campaign_id:
                await self._open_campaign()
            elif campaign.phase is Phase.WAITING and campaign.pending:
                await self._give_up()  # as it was about to before a restart
            elif campaign.phase is Phase.WAITING:
                await self._await_clients()
            elif campaign.phase is Phase.TRAINING:
                await self._collect()
            else:
                await self._settle()
        present = [address for address, client in campaign.clients.items() if not client.missed]
        await self.desk.announcements.all_dismissed(present, FAREWELL_SECONDS)
        return tuple(campaign.history)

    async def stop(self) -> None:
        """Close the listener and end the worker. The campaign stays on disk as it stands.

        Goes to its end even if whoever waits for it is cancelled meanwhile.
        """
        closing = asyncio.ensure_future(self._close())
        try:
            await asyncio.shield(closing)
        finally:
            await closing

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        await self._worker.stop()

    async def _open_campaign(self) -> None:
        campaign = self.campaign
        offer = build_open_campaign(self._config, self._key.address, campaign)
        opened = await self._delivery.deliver(offer, campaign.pending, self._keep_pending)
        campaign.campaign_id = opened.hash
        campaign.pending = b""
        await self._file.save(campaign)
        self.desk.announcements.present(campaign)
        rounds = format_count(campaign.rounds, "round")
        self._report(f"campaign {opened.hash.hex()} is open: {rounds}")

    async def _await_clients(self) -> None:
        """Wait for enough clients, then announce the round."""
        campaign = self.campaign
        # The first round waits for as many as were asked for, later ones for anybody.
        wanted = self._config.clients if campaign.round == 1 else 1
        deadline = self._clock_ms() + round(self._config.join_seconds * 1000)
        if self._present() < wanted:
            clients = format_count(wanted, "client")
            self._report(f"round {campaign.round}: waiting for {clients}")
        while (present := self._present()) < wanted and (left := deadline - self._clock_ms()) > 0:
            await self.desk.changed(left / 1000)
        if not present:
            await self._give_up()
        await self._begin_training()

    async def _begin_training(self) -> None:
        campaign = self.campaign
        campaign.begin_training(self._clock_ms() + round(self._config.round_seconds * 1000))
        await self._file.save(campaign)
        self.desk.announcements.present(campaign)
        self._report(f"round {campaign.round} of {campaign.rounds}: clients train")

    async def _collect(self) -> None:
        """Take updates until all have come or the time is over."""
        campaign = self.campaign
        if campaign.deadline_ms <= self._clock_ms():
            # After a restart: who could not reach this coordinator gets the time anew.
            await self._begin_training()
        while (left := campaign.deadline_ms - self._clock_ms()) > 0:
            if campaign.updates and not campaign.awaited():
                break
            await self.desk.changed(left / 1000)
        late = len(campaign.awaited())
        updates = campaign.end_training()
        await self._file.save(campaign)
        missing = f", {late} did not come in time" if late else ""
        self._report(f"round {campaign.round}: {format_count(len(updates), 'update')}{missing}")
        self.desk.announcements.present(campaign)

    async def _settle(self) -> None:
        """Have the round valued and paid for."""
        campaign, valuation = self.campaign, self._valuation()
        if not campaign.aggregate:
            await valuation.aggregate(campaign)
            await self._file.save(campaign)
            right, size = campaign.right_answers, campaign.shard.size
            self._report(f"round {campaign.round}: the average gets {right} of {size} right")
        task_id = await valuation.open_task(campaign, self._keep_pending)
        self._report(f"round {campaign.round}: task {task_id.hex()} is being mined")
        self.desk.announcements.present(campaign, task_id)
        record = await valuation.result(campaign, task_id)
        campaign.pending = b""
        campaign.end_round(record)
        await self._file.save(campaign)
        self._report(_summary(record))
        self.desk.announcements.settled(campaign, record)
        self.desk.announcements.present(campaign)

    def _valuation(self) -> RoundSettlement:
        return RoundSettlement(self._config, self._node, self._store, self._worker, self._delivery)

    async def _give_up(self) -> None:
        campaign = self.campaign
        closing = CloseCampaign(campaign_id=campaign.campaign_id)
        await self._delivery.deliver(closing, campaign.pending, self._keep_pending)
        campaign.pending = b""
        campaign.phase = Phase.FINISHED
        await self._file.save(campaign)
        self.desk.announcements.present(campaign)
        raise RefusalError(
            ApplicationCode.GAVE_UP,
            f"no client was there for round {campaign.round} within "
            f"{self._config.join_seconds:g} s; the campaign is closed, and what was left of its "
            "budget is back",
            field="join_seconds",
        )

    async def _keep_pending(self, raw: bytes) -> None:
        self.campaign.pending = raw
        await self._file.save(self.campaign)

    async def _check_weights(self, model: Path, update: Path) -> None:
        await self._worker.run(
            "while checking an update", artifact_checks.check_update_file, model, update
        )

    def _present(self) -> int:
        return sum(not client.missed for client in self.campaign.clients.values())

    def _check_resumable(self, campaign: Campaign, chain_id: str) -> None:
        if campaign.chain_id != chain_id:
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"the campaign's state is of chain {campaign.chain_id}, the node is on {chain_id}",
                field="chain_id",
                limit=chain_id,
            )
        if campaign.phase is Phase.FINISHED:
            return
        needed = [campaign.model, campaign.base, *(shard.artifact for shard in campaign.shards)]
        needed += [update.update for update in campaign.updates.values()]
        missing = [artifact for artifact in needed if not self._store.has(artifact)]
        if missing:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"the campaign needs artifact {missing[0].hex()}, which is gone; restore the "
                "artifacts folder, or move the state away to begin a new campaign",
                field="artifacts",
            )


def _summary(record: RoundRecord) -> str:
    if not record.settled:
        return f"round {record.round}: the task failed; nobody is paid, and the base stays"
    paid = sum(client.payout for client in record.clients)
    return f"round {record.round}: settled; the clients got {format_amount(paid)}"
