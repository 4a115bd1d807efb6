"""An FL client: joins a coordinator's campaign, trains on its own data, is paid.

Its data never leave its machine. Each round it fetches the base weights, trains in a process of
its own, uploads what came out, and signs what it handed in. When the coordinator cannot be
reached it tries again, ever more slowly, and takes up where the campaign stands then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from fedcoin.application.coordinator.chain_messages import decode_training_plan
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.updates import sign_update
from fedcoin.data.plurals import format_count
from fedcoin.learning.training import client_data
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.sgd import TrainingPlan
from fedcoin.learning.workers.process import WorkerDiedError, WorkerProcess
from fedcoin.network.background_tasks import run_until_first
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import ClientUpdate

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 600.0
"""How long a coordinator that is gone is looked for."""

MAX_ARTIFACT_BYTES = 1 << 30
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0

MISSED = frozenset(
    {"ROUND_NOT_OPEN", "WRONG_ROUND", "WRONG_BASE", "WRONG_CAMPAIGN", "ALREADY_SUBMITTED"}
)
"""What a coordinator says of an update that comes too late; the next round is another chance."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What one round brought: payout in sap, value in nano-utility; zeros when it was not paid."""

    round: int
    task_id: bytes
    num_samples: int
    payout: int
    shapley_nano: int


class Trainer:
    """One client of one coordinator at ``target`` (host:port). ``run`` it, then ``stop`` it.

    With ``chain_id`` it refuses to sign for any other network. ``report`` is told, in a line, what
    happened.
    """

    def __init__(
        self,
        target: str,
        key: KeyPair,
        data: ClientData,
        *,
        chain_id: str = "",
        report: Callable[[str], None] = logger.info,
        credentials: grpc.ChannelCredentials | None = None,
        patience: float = PATIENCE_SECONDS,
        clock_ms: Clock = unix_ms,
    ) -> None:
        self._target = target
        self._key = key
        self._data = data
        self._chain_id = chain_id
        self._report = report
        self._credentials = credentials
        self._patience = patience
        self._clock_ms = clock_ms
        self._process: WorkerProcess | None = None
        self._heard = 0.0
        self._joined: pb.RegisterResponse | None = None
        self._model = b""
        self._present: pb.WatchRoundsResponse | None = None
        self._news = asyncio.Event()
        self._made: tuple[int, bytes, bytes, int] = (0, b"", b"", 0)
        self._handed_in: dict[int, int] = {}
        self._done: set[int] = set()
        self._paid: dict[int, Paid] = {}

    @property
    def pid(self) -> int:
        """The training process; 0 before it was started."""
        return self._process.pid if self._process else 0

    async def run(self) -> tuple[Paid, ...]:
        """Take part until the campaign is over; what each round brought.

        Raises Refusal: what is wrong with the data, BAD_PLAN, WRONG_CHAIN, NOT_FINITE when the
        training diverges. RpcFailure when the coordinator refuses this client, or is not found for
        ``patience`` seconds. WorkerFailed when training dies twice in a round.
        """
        examples = await self._train(client_data.prepare_training, self._data)
        self._report(f"training on {format_count(examples, 'example')} of {self._data.dataset}")
        self._heard = time.monotonic()
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            before = self._heard
            try:
                await self._attend()
                return tuple(self._paid[number] for number in sorted(self._paid))
            except RpcError as failure:
                lost = failure.is_transient or failure.code == "NOT_REGISTERED"
                if not lost or time.monotonic() - self._heard > self._patience:
                    raise
                if self._heard > before:
                    backoff.reset()
                pause = backoff.next_pause()
                self._report(f"looking for the coordinator again in {pause:.1f} s: {failure}")
            await asyncio.sleep(pause)

    async def stop(self) -> None:
        """End the training process."""
        if self._process is not None:
            await self._process.stop()

    async def _attend(self) -> None:
        """Join and take part, on one connection; returns when the campaign is over."""
        async with FederatedClient(self._target, credentials=self._credentials) as client:
            await self._join(client)
            await run_until_first(self._listen(client), self._work(client))

    async def _join(self, client: FederatedClient) -> None:
        chain_id = (await client.get_campaign_status()).chain_id
        if self._chain_id and chain_id != self._chain_id:
            raise RefusalError(
                DataCode.WRONG_CHAIN,
                f"the coordinator at {self._target} is on chain {chain_id[:64]!r}, not on "
                f"{self._chain_id!r}",
                field="chain_id",
                limit=self._chain_id,
            )
        joined = await client.register(self._key, chain_id, self._clock_ms())
        decode_training_plan(joined.plan)  # raises when it is no plan
        if self._joined is None or joined.model != self._joined.model:
            self._model = await client.download_artifact(joined.model, MAX_ARTIFACT_BYTES)
            rounds = format_count(joined.rounds, "round")
            self._report(f"joined the campaign at {self._target}: {rounds}")
        self._chain_id, self._joined = chain_id, joined
        self._heard = time.monotonic()

    async def _listen(self, client: FederatedClient) -> None:
        """Keep up with the rounds until the last one is over."""
        async for change in client.watch_rounds(self._key.address):
            self._heard = time.monotonic()
            if change.phase == pb.ROUND_PHASE_SETTLED:
                self._note_payment(change)
            elif change.phase == pb.ROUND_PHASE_FINISHED:
                return
            self._present = change
            self._news.set()

    async def _work(self, client: FederatedClient) -> None:
        """Train for whichever round is open."""
        while True:
            self._news.clear()
            change = self._present
            if (
                change is not None
                and change.phase == pb.ROUND_PHASE_TRAINING
                and change.round not in self._done
            ):
                await self._take_part(client, change)
            else:
                await self._news.wait()

    async def _take_part(self, client: FederatedClient, change: pb.WatchRoundsResponse) -> None:
        began = time.monotonic()
        weights, samples = await self._make(client, change)
        update = ClientUpdate(
            campaign_id=change.campaign_id,
            round=change.round,
            base=change.base,
            update=await client.upload_artifact(weights),
            num_samples=samples,
            address=self._key.address,
        )
        self._handed_in[change.round] = samples
        try:
            await client.submit_update(sign_update(update, self._key, self._chain_id))
        except RpcError as failure:
            if failure.code not in MISSED:
                raise
            self._report(f"round {change.round}: not taken: {failure.message}")
        else:
            seconds = time.monotonic() - began
            self._report(f"round {change.round}: handed in after {seconds:.1f} s")
        self._done.add(change.round)

    async def _make(
        self, client: FederatedClient, change: pb.WatchRoundsResponse
    ) -> tuple[bytes, int]:
        """(encoded weights, examples) for a round; made once, though they may be sent twice."""
        number, base, weights, samples = self._made
        if (number, base) != (change.round, change.base):
            base_raw = await client.download_artifact(change.base, MAX_ARTIFACT_BYTES)
            weights, samples = await self._train(
                client_data.compute_update,
                self._data,
                self._model,
                base_raw,
                self._plan(),
                self._seed(),
            )
            self._made = (change.round, change.base, weights, samples)
        return weights, samples

    async def _train(self, function: Callable[..., T], *arguments: object) -> T:
        """A function's result in the training process, which is started anew if it died."""
        for attempt in (1, 2):
            if self._process is None or not self._process.is_alive:
                await self.stop()
                self._process = WorkerProcess()
                await self._process.start()
            try:
                return await self._process.call(function, *arguments)
            except WorkerDiedError:
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _plan(self) -> TrainingPlan:
        assert self._joined is not None
        return decode_training_plan(self._joined.plan)

    def _seed(self) -> int:
        return int.from_bytes(self._key.address[:4], "big")

    def _note_payment(self, change: pb.WatchRoundsResponse) -> None:
        samples = self._handed_in.get(change.round)
        if samples is None or change.round in self._paid:
            return
        self._paid[change.round] = Paid(
            change.round, change.task_id, samples, change.payout, change.shapley_nano
        )
        self._report(
            f"round {change.round}: paid {format_amount(change.payout)} for a value of "
            f"{change.shapley_nano / 1e9:+.4f}"
        )
