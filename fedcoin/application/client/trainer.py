"""A federated-learning client: it joins a coordinator's campaign, trains on its own data, is paid.

The data never leave the client's machine. Each round the client fetches the base weights, trains in
a worker process, signs and announces its update, uploads the weights and hands the update in.
When the coordinator cannot be reached, the client tries again with growing pauses and goes on with
the round that the campaign has reached by then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from fedcoin.application.client.fetched_model import MAX_ARTIFACT_BYTES, FetchedModel
from fedcoin.application.client.handing_in import UpdateSigner, hand_in
from fedcoin.application.client.left_out_guard import LeftOutGuard
from fedcoin.application.client.local_training import LocalTraining
from fedcoin.application.client.own_program import OwnProgram, RoundWork
from fedcoin.application.client.privacy_ledger import PrivacyLedger
from fedcoin.application.client.protection_check import check_protection
from fedcoin.application.client.receipt_folder import ReceiptFolder, check_receipt, find_objection
from fedcoin.application.client.round_payments import LATE_CODES, RoundPayment, RoundPayments
from fedcoin.application.configuration.pinned_genesis import check_network
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.data.plurals import format_count
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.training_plan import decode_training_plan
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.network.background_tasks import run_until_first
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import ClientUpdate, PrivacyClaim, SignedReceipt

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 600.0
"""How long a coordinator that cannot be reached is tried again, in seconds."""

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0
_OPENING_S = 0.5


@dataclass(frozen=True, slots=True)
class _TrainedUpdate:
    """Weights for one round, kept in case they have to be sent again."""

    round: int
    base: bytes
    weights: bytes
    num_samples: int
    privacy: PrivacyClaim | None = None


class Trainer:
    """One client: it joins a coordinator's campaign and trains in each round.

    Call `run`, which returns when the campaign has ended, then `stop`.
    """

    def __init__(
        self,
        target: str,
        key: KeyPair,
        data: ClientData | OwnProgram,
        genesis_hash: bytes,
        *,
        training: TrainingPool | None = None,
        report: Callable[[str], None] = logger.info,
        credentials: Credentials | None = None,
        proxy: str = "",
        patience: float = PATIENCE_S,
        clock_ms: Clock = unix_ms,
        receipts: ReceiptFolder | None = None,
        node: NodeClient | None = None,
        name: str = "",
        ledger: PrivacyLedger | None = None,
    ) -> None:
        """Prepare a client. Nothing is dialled before `run`.

        Args:
            target: The coordinator's `host:port`.
            key: The key that signs updates and is paid.
            data: The client's data, or the program that trains on them.
            genesis_hash: The genesis hash of the network to sign for, 32 bytes. It must not come
                from the coordinator, which could otherwise have updates signed for another
                network.
            training: The processes to train in, which are left running; None for a process of this
                client's own.
            report: Gets a line about each thing that happens.
            credentials: TLS, or None for plaintext.
            proxy: The HTTP proxy for a coordinator on the Internet; empty for none.
            patience: How long a coordinator that cannot be reached is tried again, in seconds.
            clock_ms: Gives Unix time in ms.
            receipts: Stores the receipts for updates, with the weights; None to store none.
            node: A node that is asked about the campaign before each round, so that nothing is
                handed in for a receipt without effect, and receipts of other keys than the
                server's are refused. A receipt whose update the server leaves out of its task is
                registered there. None trusts the coordinator.
            name: What the client calls itself in its updates, as `check_name` allows; empty for no
                name.
            ledger: Counts trainings with differential privacy; needed where `data` asks for it.
        """
        self._target = target
        self._key = key
        self._genesis_hash = genesis_hash
        self._report = report
        self._credentials = credentials
        self._proxy = proxy
        self._patience = patience
        self._clock_ms = clock_ms
        self._receipts = receipts
        self._node = node
        self._name = name
        self._guard = LeftOutGuard(node, key, genesis_hash, report) if node is not None else None
        self._training = training or TrainingPool()
        self._owns_training = training is None
        self._local = LocalTraining(data, self._training, report, ledger)
        self._heard = 0.0
        self._joined: pb.RegisterResponse | None = None
        self._model = FetchedModel()
        self._utility = 0
        self._present: pb.WatchRoundsResponse | None = None
        self._round_changed = asyncio.Event()
        self._trained: _TrainedUpdate | None = None
        self._handed_in: dict[int, Update] = {}
        self._done: set[int] = set()
        self._late: set[int] = set()
        self._results = RoundPayments(report)
        self._last_ended = 0
        self._part = 1.0

    @property
    def pid(self) -> int:
        """The process id of the first training process; 0 before it was started."""
        return self._training.pids[0]

    @property
    def payments(self) -> tuple[RoundPayment, ...]:
        """What became of this client's updates so far, in the order of the rounds."""
        return self._results.listed()

    @property
    def missing_rounds(self) -> int:
        """How many rounds of the campaign are not over, by its news; 0 before it has joined."""
        return 0 if self._joined is None else self._joined.rounds - self._last_ended

    async def run(self) -> tuple[RoundPayment, ...]:
        """Take part until the campaign is over.

        Returns:
            What became of each round for which this client submitted an update, in order.

        Raises:
            RefusalError: The code of any fault in the client's data, or of data that do not fit the
                campaign's model, before the client joins; BAD_PLAN when the coordinator's training
                plan is out of range; WRONG_NETWORK when it belongs to another network than
                `genesis_hash`; BAD_RECEIPT when the coordinator answers an update without a receipt
                of its server for it; NOT_FINITE when the training diverges; PROGRAM_FAILED when the
                client's program fails.
            RefusalError: OTHER_PROTECTION when only one of both sides speaks TLS.
            RpcError: The coordinator refuses this client, or could not be reached for `patience`
                seconds.
            WorkerError: The training process died twice in a round.
        """
        await self._local.prepare()
        self._heard = time.monotonic()
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            before = self._heard
            try:
                await self._take_part()
                if self._guard is not None:
                    await self._guard.report_unsettled()
                return self.payments
            except RpcError as error:
                # A coordinator that was started again for another campaign knows no clients yet.
                is_lost = error.is_transient or error.code == ApplicationCode.NOT_REGISTERED.name
                if not is_lost or time.monotonic() - self._heard > self._patience:
                    raise
                if self._heard > before:
                    backoff.reset()
                elif self._joined is None:
                    await check_protection(self._target, error, self._credentials is not None)
                pause = backoff.next_pause()
                self._report(f"looking for the coordinator again in {pause:.1f} s: {error}")
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """End the client's program, and the training process, if it is this client's own."""
        await self._local.stop()
        if self._owns_training:
            await self._training.stop()
        await self._model.close()

    async def _take_part(self) -> None:
        """Join and take part over one connection, until the campaign is over."""
        async with FederatedClient(
            self._target, credentials=self._credentials, proxy=self._proxy
        ) as client:
            await self._join(client)
            works = [self._watch(client), self._work(client)]
            if self._guard is not None:
                works.append(self._guard.run())
            await run_until_first(*works)

    async def _join(self, client: FederatedClient) -> None:
        status = await client.get_campaign_status()
        check_network(self._genesis_hash, status, f"the coordinator at {self._target}")
        while status.proof_server and not status.campaign_id:
            # A proof names the campaign, which the coordinator is about to open.
            await asyncio.sleep(_OPENING_S)
            status = await client.get_campaign_status()
        if status.proof_server:
            context = SigningContext.CLIENT_READER
            reader = ReaderKey(self._key, self._genesis_hash, self._clock_ms, context)
            client.prove = partial(reader.prove, status.proof_server, status.campaign_id)
        self._utility = status.utility
        await self._model.fetch(client, status.model, self._check_model)
        if self._joined is None:
            self._local.warn_of_scale((status.input_low, status.input_high))
        joined = await client.register(self._key, self._genesis_hash, self._clock_ms())
        decode_training_plan(joined.plan)  # refuses a plan that cannot be followed
        if self._joined is None or joined.model != self._joined.model:
            await self._model.fetch(client, joined.model, self._check_model)
            rounds = format_count(joined.rounds, "round")
            self._report(f"joined the campaign at {self._target}: {rounds}")
        self._joined = joined
        self._heard = time.monotonic()

    async def _check_model(self, spec: bytes) -> None:
        await self._local.check_model(spec, self._utility)

    async def _watch(self, client: FederatedClient) -> None:
        """Follow the rounds until the last one is over."""
        async for change in client.watch_rounds(self._key.address):
            self._heard = time.monotonic()
            if change.phase == pb.ROUND_PHASE_SETTLED:
                self._last_ended = max(self._last_ended, change.round)
                self._note_end(change)
            elif change.phase == pb.ROUND_PHASE_FINISHED:
                return
            self._present = change
            self._round_changed.set()

    async def _work(self, client: FederatedClient) -> None:
        """Train for each round that is open, and join again when all clients missed one."""
        while True:
            self._round_changed.clear()
            change = self._present
            if (
                change is not None
                and change.phase == pb.ROUND_PHASE_TRAINING
                and change.round not in self._done
            ):
                await self._train_round(client, change)
            elif (
                change is not None
                and change.phase == pb.ROUND_PHASE_WAITING
                and change.round in self._late
            ):
                # The coordinator got no update, and begins again with the clients that join anew.
                self._report(f"round {change.round}: begins again, as no update came in time")
                self._late.discard(change.round)
                self._done.discard(change.round)
                await client.register(self._key, self._genesis_hash, self._clock_ms())
            else:
                await self._round_changed.wait()

    async def _train_round(self, client: FederatedClient, change: pb.WatchRoundsResponse) -> None:
        began = time.monotonic()
        if await self._objects(change):
            return
        self._results.begin(change.round)
        trained = await self._trained_for(client, change)
        if trained is None:
            self._results.note_late(change.round, 0, "it was over before the program ended")
            self._late.add(change.round)
            self._done.add(change.round)
            return
        # The server could have begun the receipt window, or opened the task, in the meantime.
        if await self._objects(change):
            return
        update = ClientUpdate(
            campaign_id=change.campaign_id,
            round=change.round,
            base=change.base,
            num_samples=trained.num_samples,
            address=self._key.address,
            name=self._name,
            privacy=trained.privacy,
        )
        send = UpdateSigner(update, self._key, self._genesis_hash)
        try:
            handed = await hand_in(client, send, trained.weights, self._report, self._part)
        except RpcError as error:
            self._results.note_refusal(error, change.round, trained.num_samples)
            if error.code in LATE_CODES:
                self._late.add(change.round)
        else:
            handed_in = decode_update(handed.signed, self._genesis_hash)
            self._part, self._handed_in[change.round] = handed.part, handed_in
            await self._keep_receipt(handed.receipt, handed_in, handed.weights)
            seconds = time.monotonic() - began
            self._report(f"round {change.round}: handed in after {seconds:.1f} s")
        self._done.add(change.round)

    async def _objects(self, change: pb.WatchRoundsResponse) -> bool:
        """Leave a round out whose receipt would have no effect; tells whether it does."""
        if self._node is None:
            return False
        campaign = await self._node.get_campaign(change.campaign_id)
        objection = find_objection(campaign, change, self._clock_ms())
        if objection:
            self._report(f"round {change.round}: nothing is handed in: {objection}")
            self._done.add(change.round)
        return bool(objection)

    async def _keep_receipt(self, envelope: SignedReceipt, update: Update, weights: bytes) -> None:
        """Check the coordinator's receipt, and keep it where a restart finds it."""
        server = None
        if self._node is not None:
            server = parse_address((await self._node.get_campaign(update.campaign_id)).server)
        kept = check_receipt(
            envelope, update, self._genesis_hash, server=server, now_ms=self._clock_ms()
        )
        if self._receipts is not None:
            await asyncio.to_thread(self._receipts.save, kept, weights)
        if self._guard is not None:
            self._guard.add(kept)

    async def _trained_for(
        self, client: FederatedClient, change: pb.WatchRoundsResponse
    ) -> _TrainedUpdate | None:
        """Train for a round, once, even if its weights are sent again; None if it is over."""
        trained = self._trained
        if trained is None or (trained.round, trained.base) != (change.round, change.base):
            base_raw = await client.download_artifact(change.base, MAX_ARTIFACT_BYTES)
            assert self._joined is not None
            work = RoundWork(
                change.round,
                self._joined.rounds,
                self._model.spec,
                base_raw,
                decode_training_plan(self._joined.plan),
                int.from_bytes(self._key.address[:4], "big"),
                self._model.frozen,
                self._utility,
            )
            done = await self._local.train(work, self._wait_until_over(change.round))
            if done is None:
                self._trained = None
                return None
            claim = await self._local.claim_privacy(change.campaign_id, work.plan, done)
            trained = self._trained = _TrainedUpdate(
                change.round, change.base, done.tensors, done.num_samples, claim
            )
        return trained

    async def _wait_until_over(self, number: int) -> None:
        """Wait until a round takes no more updates."""
        while (change := self._present) is None or (
            change.round == number and change.phase == pb.ROUND_PHASE_TRAINING
        ):
            self._round_changed.clear()
            await self._round_changed.wait()

    def _note_end(self, change: pb.WatchRoundsResponse) -> None:
        """Note the end of a round in which this client took part, also before a restart."""
        update = self._handed_in.get(change.round)
        is_news = self._results.note_end(change, update)
        if is_news and update is not None and self._receipts is not None:
            self._receipts.drop_weights(update)
