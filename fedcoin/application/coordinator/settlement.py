"""Have a round's updates valued and paid: average them, upload, open the task, wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.coordinator.chain_messages import (
    build_open_task,
    count_in_average,
    pays_by_unit,
)
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.delivery import Delivery, SavePending
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count
from fedcoin.incentive.training_reward import is_gain
from fedcoin.learning.measures.terms import NAMES, TERMS
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.model.look_alikes import group_files
from fedcoin.learning.workers.jobs import explain_base
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import task_pb2
from fedcoin.v1.block_pb2 import TASK_PHASE_FAILED, TASK_PHASE_GAVE_WAY, TASK_PHASE_SETTLED
from fedcoin.v1.views_pb2 import TaskView

MAX_OUTAGE_SECONDS = 24 * 3600.0
"""How long a node that cannot be reached while it mines a task is waited for, in seconds."""

FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
"""The first and the longest pause, in seconds, before a round whose task was displaced or failed is
opened again."""

MAX_FAILURES = 10
"""How often the task of a round with registered receipts may fail before a coordinator gives up."""


class RoundSettlement:
    """The steps between a round's last update and its payment.

    Each step may be repeated after a restart: the average has the same bytes, an upload that is
    complete sends nothing, and a pending transaction is submitted with the same bytes.

    Args:
        config: The coordinator's settings.
        node: The node to which artifacts go, and which tells about the task.
        store: Holds the updates' weights, and gets the average.
        workers: Average and evaluate.
        delivery: Delivers the transaction that opens the task.
        report: Takes one line of text when the round's task has to be opened again.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        node: NodeClient,
        store: ArtifactStore,
        workers: WorkerPool,
        delivery: Delivery,
        report: Callable[[str], None],
    ) -> None:
        self._config = config
        self._node = node
        self._store = store
        self._workers = workers
        self._delivery = delivery
        self._report = report
        self._backoff = Backoff(FIRST_PAUSE_S, _MAX_PAUSE_S)
        self._num_failures = 0

    async def aggregate(self, campaign: Campaign) -> None:
        """Average the round's updates, and count the average's correct answers.

        Args:
            campaign: Its `aggregate` and `utility` are set.

        Raises:
            RefusalError: NO_CLIENTS when the round has no update; BAD_SAMPLES, WRONG_NAMES,
                WRONG_SHAPE or BAD_TENSOR when updates cannot be averaged; TOO_LARGE or STORE_FULL
                when the store does not take the average.
            WorkerError: The worker process died twice.
        """
        updates = campaign.sorted_updates()
        groups = await self._group(campaign, updates)
        players = len(set(groups)) if groups else len(updates)
        if players < len(updates):
            self._report(
                f"round {campaign.round}: {len(updates)} updates are "
                f"{format_count(players, 'player')}, with the similarity limit "
                f"{self._config.similarity_limit:g}"
            )
        raw = await self._workers.run(
            f"while averaging the updates of round {campaign.round}",
            average_files,
            [self._store.path(update.update) for update in updates],
            count_in_average(self._config, [update.num_samples for update in updates], groups),
        )
        aggregate = await asyncio.to_thread(self._store.put, raw)
        campaign.utility = await self._workers.measure_model(
            self._store.path(campaign.model),
            self._store.path(aggregate),
            self._store.path(campaign.shard.artifact),
            NAMES[self._config.utility],
            self._frozen(campaign),
        )
        campaign.aggregate = aggregate
        if campaign.round == 1:
            await self._warn_of_commonest(campaign)
            explained = await self._workers.explain_rounding(
                self._store.path(campaign.model),
                self._store.path(aggregate),
                self._store.path(campaign.shard.artifact),
                NAMES[self._config.utility],
                self._frozen(campaign),
            )
            if explained:
                self._report(explained)

    async def open_task(self, campaign: Campaign, save_pending: SavePending) -> bytes:
        """Upload the artifacts that miners evaluate, and open the round's task.

        Args:
            campaign: The campaign; `aggregate` must be set. If its `pending` transaction is set,
                the uploads were complete before a restart.
            save_pending: Saves the signed transaction before it is submitted.

        Returns:
            The task's id, 32 bytes, once its transaction is final.

        Raises:
            RpcError: The node refuses an upload or the transaction, and not only because too many
                tasks are open (TOO_MANY_TASKS), which the delivery waits for.
            WorkerError: The worker process that groups the updates died twice.
        """
        updates = campaign.sorted_updates()
        if not campaign.pending:
            needed = [campaign.model, campaign.base, campaign.aggregate, campaign.shard.artifact]
            needed += [campaign.frozen] if campaign.frozen else []
            needed += [update.update for update in updates]
            prove = await self._prover(campaign)
            for artifact in dict.fromkeys(needed):
                await self._delivery.retry_while_away(self._upload_call(artifact, prove))
        groups = await self._group(campaign, updates)
        action = build_open_task(self._config, campaign, updates, groups)
        try:
            return (await self._delivery.deliver(action, campaign.pending, save_pending)).hash
        except RpcError as error:
            if error.code != LedgerCode.INSUFFICIENT_BALANCE.name or not action.max_room_fee:
                raise
        # Without coins for the fee, the task waits until another one is closed.
        action.max_room_fee = 0
        return (await self._delivery.deliver(action, campaign.pending, save_pending)).hash

    async def _group(self, campaign: Campaign, updates: Sequence[Update]) -> tuple[int, ...]:
        """Group the round's updates where there is a similarity limit; no groups otherwise."""
        limit = self._config.similarity_limit
        if not limit:
            return ()
        return await self._workers.run(
            f"while grouping the updates of round {campaign.round}",
            group_files,
            self._store.path(campaign.base),
            [self._store.path(update.update) for update in updates],
            limit,
        )

    async def wait_for_end(self, campaign: Campaign, task_id: bytes) -> RoundRecord | None:
        """Wait until the round's task is closed.

        Args:
            campaign: The state of the campaign, in phase SETTLING.
            task_id: The present round's task, 32 bytes.

        Returns:
            The outcome of the round. None when the round goes on: a task with a higher offer
            displaced this one, or it failed with registered receipts and no miner was paid. The
            caller opens the same round again at once, as this method has waited before it returns,
            each time longer, up to 60 s.

        Raises:
            RefusalError: UNMINED_ROUND when the round's tasks have failed `MAX_FAILURES` times.
            RpcError: The node does not know the task, or could not be reached for
                `MAX_OUTAGE_SECONDS`.
        """
        view = await self._delivery.retry_while_away(self._watch_call(task_id))
        if view.phase == TASK_PHASE_GAVE_WAY:
            await self._pause(campaign, "made way for a better offer")
            return None
        if view.phase == TASK_PHASE_FAILED and not await self._is_over(campaign):
            self._num_failures += 1
            self._check_failures(campaign)
            await self._pause(campaign, "failed, and registered receipts wait for another one")
            return None
        return _record_from_view(view, campaign, pays_by_unit(self._config))

    async def wait_for_clients(self, campaign: Campaign, refusal: RpcError) -> None:
        """Pause, longer each time, while only clients may open the round.

        They may after this server's task failed.

        Args:
            campaign: The state of the campaign, in phase SETTLING.
            refusal: The node's refusal of this server's task.

        Raises:
            RpcError: `refusal` itself, when its code is another than CLIENTS_TURN.
        """
        if refusal.code != LedgerCode.CLIENTS_TURN.name:
            raise refusal
        pause = self._backoff.next_pause()
        self._report(f"round {campaign.round}: {refusal.message}; asking again in {pause:.1f} s")
        await asyncio.sleep(pause)

    async def _is_over(self, campaign: Campaign) -> bool:
        """Tell whether the ledger has ended the campaign's present round."""
        view = await self._delivery.retry_while_away(
            lambda: self._node.get_campaign(campaign.campaign_id)
        )
        return view.last_round >= campaign.round

    def _check_failures(self, campaign: Campaign) -> None:
        if self._num_failures < MAX_FAILURES:
            return
        raise RefusalError(
            ApplicationCode.UNMINED_ROUND,
            f"{MAX_FAILURES} tasks of round {campaign.round} failed without work by miners, and"
            " registered receipts wait for another one: see that miners run and that the mining"
            " price suits the work, then start the coordinator again",
            field="round",
        )

    async def _pause(self, campaign: Campaign, what: str) -> None:
        """Report why the round is opened again, and wait before it is."""
        pause = self._backoff.next_pause()
        self._report(
            f"round {campaign.round}: its task {what}; it is opened again in {pause:.1f} s"
        )
        await asyncio.sleep(pause)

    async def follow_task(self, campaign: Campaign, view: TaskView) -> RoundRecord | None:
        """Fetch the average of a task that clients opened, and wait until the task is closed.

        Args:
            campaign: The campaign; its `aggregate` and `utility` are set when the round ends.
            view: The task as a node shows it.

        Returns:
            The outcome of the round; None when the round goes on, because the task was displaced or
            failed without work by miners.

        Raises:
            RpcError: The node does not have the average or does not know the task, or could not be
                reached for `MAX_OUTAGE_SECONDS`.
            RefusalError: BAD_ARTIFACT when the node sent something else than the average; TOO_LARGE
                or STORE_FULL when the store does not take it.
            WorkerError: The worker process died twice.
        """
        aggregate, evaluation = bytes.fromhex(view.aggregate), bytes.fromhex(view.evaluation)
        if not self._store.has(aggregate):
            prove = await self._prover(campaign)
            raw = await self._delivery.retry_while_away(
                lambda: self._node.download_artifact(aggregate, prove=prove)
            )
            await asyncio.to_thread(self._store.put, raw)
        utility = await self._workers.measure_model(
            self._store.path(campaign.model),
            self._store.path(aggregate),
            self._store.path(evaluation),
            view.utility,
            self._frozen(campaign),
        )
        record = await self.wait_for_end(campaign, bytes.fromhex(view.task_id))
        if record is None:
            return None
        campaign.aggregate, campaign.utility = aggregate, utility
        return replace(record, utility=utility, evaluation_size=view.evaluation_size)

    async def _warn_of_commonest(self, campaign: Campaign) -> None:
        """Report it when the most frequent label alone is as accurate as the initial weights."""
        if NAMES[self._config.utility] != task_pb2.UTILITY_ACCURACY:
            return
        evaluation = self._store.path(campaign.shard.artifact)
        base_count = await self._workers.measure_model(
            self._store.path(campaign.model),
            self._store.path(campaign.base),
            evaluation,
            frozen=self._frozen(campaign),
        )
        explained = await self._workers.run(
            "while counting labels", explain_base, evaluation, base_count
        )
        if explained:
            self._report(explained)

    def _frozen(self, campaign: Campaign) -> Path | None:
        return self._store.path(campaign.frozen) if campaign.frozen else None

    async def _prover(self, campaign: Campaign) -> Prove | None:
        """Make what proves to the node who uploads for a private campaign; None for others."""
        if not self._config.private:
            return None
        return await self._delivery.make_prover(campaign.campaign_id)

    def _upload_call(self, artifact: bytes, prove: Prove | None) -> Callable[[], Awaitable[bytes]]:
        return lambda: self._node.upload_artifact(self._store.path(artifact), prove)

    def _watch_call(self, task_id: bytes) -> Callable[[], Awaitable[TaskView]]:
        async def last_view() -> TaskView:
            last = TaskView()
            async for view in self._node.watch_task(task_id, patience=MAX_OUTAGE_SECONDS):
                last = view
            return last

        return last_view


def _record_from_view(view: TaskView, campaign: Campaign, by_unit: bool) -> RoundRecord:
    clients = [
        ClientOutcome(
            address=parse_address(client.address),
            num_samples=client.num_samples,
            shapley_nano=client.shapley_nano,
            payout=client.payout,
            name=client.name,
        )
        for client in view.clients
    ]
    settled = view.phase == TASK_PHASE_SETTLED
    # A campaign that pays by the unit goes on from its best model, so that it pays no gain twice.
    adopted = settled and (not by_unit or is_gain([client.shapley_nano for client in clients]))
    return RoundRecord(
        round=campaign.round,
        task_id=bytes.fromhex(view.task_id),
        settled=settled,
        adopted=adopted,
        utility=campaign.utility,
        evaluation_size=campaign.shard.size,
        measure=TERMS[view.utility].name,
        clients=tuple(clients),
        announced=tuple(campaign.announced),
    )
