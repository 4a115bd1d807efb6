"""The FL server and its clients: one campaign, a task a round, updates that nobody looks into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.payout import compute_round_prices
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import (
    ClientUpdate,
    EvaluationShard,
    OpenCampaign,
    OpenTask,
    PriceSplit,
    RoundPrices,
    Sampling,
    SignedUpdate,
)

if TYPE_CHECKING:
    from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting

FDC = 100_000_000
ROUND_PRICE = 100 * FDC
SPLIT = PriceSplit(training=7, aggregation=1, mining=2)
SHARD = sha256(b"shard")
WEIGHTS = sha256(b"weights")


class SimulatedCoordinator:
    """Requester and server in one. Its clients stand in the order of their addresses."""

    def __init__(self, clients: int, setting: CampaignSetting, chain_id: str) -> None:
        self.key = KeyPair.from_seed(sha256(b"server"))
        made = (KeyPair.from_seed(sha256(b"client", bytes([i]))) for i in range(clients))
        self.clients = sorted(made, key=lambda key: key.address)
        self._setting = setting
        self._chain_id = chain_id
        self._done: set[int] = set()
        self._asked = False

    def act(self, state: StateReader) -> Iterator[tuple[KeyPair, Message]]:
        """The campaign first, then a task as soon as there is none."""
        campaigns = list(records.CAMPAIGNS.scan(state))
        if not campaigns:
            if not self._asked:
                self._asked = True
                yield self.key, self._campaign()
            return
        campaign_id, campaign = campaigns[0]
        if campaign.closed or campaign.open_task_id:
            return
        if campaign.last_round + 1 not in self._done:
            self._done.add(campaign.last_round + 1)
            yield self.key, self.task(campaign_id, campaign)

    def _campaign(self) -> OpenCampaign:
        return OpenCampaign(
            server=self.key.address,
            model=sha256(b"model"),
            initial_weights=WEIGHTS,
            rounds=self._setting.rounds,
            budget=self._setting.rounds * ROUND_PRICE,
            spread=task_pb2.BUDGET_SPREAD_EQUAL,
            split=SPLIT,
            mining_reward=self._setting.reward,  # type: ignore[arg-type]
            evaluation_root=merkle.root([SHARD]),
            evaluation_shards=1,
        )

    def task(self, campaign_id: bytes, campaign: CampaignState) -> OpenTask:
        """The next round's task."""
        setting, number, job = self._setting, campaign.last_round + 1, campaign.terms
        due = compute_round_prices(job.budget, job.rounds, job.spread, number, job.split)
        base = WEIGHTS if number == 1 else campaign.last_aggregate
        exact = setting.schedule == task_pb2.SCHEDULE_EXACT
        return OpenTask(
            campaign_id=campaign_id,
            round=number,
            base=base,
            aggregate=sha256(b"aggregate", number.to_bytes(4, "big")),
            updates=[self._update(client, campaign_id, number, base) for client in self.clients],
            evaluation=EvaluationShard(artifact=SHARD, index=0, path=[], size=setting.game.size),
            utility=task_pb2.UTILITY_ACCURACY,
            empty_coalition=task_pb2.EMPTY_COALITION_BASE_MODEL,
            averaging=task_pb2.AVERAGING_RENORMALISED,
            sampling=Sampling(
                schedule=setting.schedule,  # type: ignore[arg-type]
                max_samples=0 if exact else setting.max_samples,
            ),
            prices=RoundPrices(
                training=due.training, aggregation=due.aggregation, mining=due.mining
            ),
            commit_window_ms=setting.commit_window_ms,
            reveal_window_ms=setting.reveal_window_ms,
            max_attempts=3,
        )

    def _update(
        self, client: KeyPair, campaign_id: bytes, number: int, base: bytes
    ) -> SignedUpdate:
        update = ClientUpdate(
            campaign_id=campaign_id,
            round=number,
            base=base,
            update=sha256(b"update", client.address, number.to_bytes(4, "big")),
            num_samples=100,
            address=client.address,
        )
        return sign_update(update, client, self._chain_id)
