"""A coordinator with its clients: one campaign, and one task for each round.

Its artifacts do not exist. Updates, models and evaluation sets are hashes of their names.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.payout import compute_round_prices
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
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

ROUND_PRICE = 100 * SAP_PER_FDC
"""The price of a round, in sap."""

SPLIT = PriceSplit(training=7, aggregation=1, mining=2)
"""The parts of the price, in tenths."""

_SHARD = sha256(b"shard")
_WEIGHTS = sha256(b"weights")


class SimulatedCoordinator:
    """The requester and server of one campaign."""

    def __init__(self, clients: int, setting: CampaignSetting) -> None:
        """Make a coordinator that has not opened its campaign.

        Args:
            clients: The number of clients.
            setting: Rounds, schedule, windows and rewards.
        """
        self.key = KeyPair.from_seed(sha256(b"server"))
        keys = (KeyPair.from_seed(sha256(b"client", bytes([i]))) for i in range(clients))
        # In the order of their addresses, as tasks list them.
        self.clients = sorted(keys, key=lambda key: key.address)
        self._setting = setting
        self._genesis_hash = b""
        self._opened_rounds: set[int] = set()
        self._has_opened_campaign = False

    def use_genesis(self, genesis_hash: bytes) -> None:
        """Sign for a network, whose genesis names this coordinator's account.

        Args:
            genesis_hash: The network's genesis hash, 32 bytes.
        """
        self._genesis_hash = genesis_hash

    def act(self, state: StateReader) -> Iterator[tuple[KeyPair, Message]]:
        """Open the campaign, or the next round's task when no task is open.

        Args:
            state: The state after a block.

        Yields:
            At most one signer and action.
        """
        campaigns = list(records.CAMPAIGNS.scan(state))
        if not campaigns:
            if not self._has_opened_campaign:
                self._has_opened_campaign = True
                yield self.key, self._campaign()
            return
        campaign_id, campaign = campaigns[0]
        if campaign.closed or campaign.open_task_id:
            return
        if campaign.last_round + 1 not in self._opened_rounds:
            self._opened_rounds.add(campaign.last_round + 1)
            yield self.key, self.make_task(campaign_id, campaign)

    def _campaign(self) -> OpenCampaign:
        return OpenCampaign(
            utility=task_pb2.UTILITY_ACCURACY,
            server=self.key.address,
            model=sha256(b"model"),
            initial_weights=_WEIGHTS,
            rounds=self._setting.rounds,
            budget=self._setting.rounds * ROUND_PRICE,
            spread=task_pb2.BUDGET_SPREAD_EQUAL,
            split=SPLIT,
            mining_reward=self._setting.reward,  # type: ignore[arg-type]
            training_reward=task_pb2.TRAINING_REWARD_PROPORTIONAL,
            evaluation_root=merkle.root([_SHARD]),
            evaluation_shards=1,
        )

    def make_task(self, campaign_id: bytes, campaign: CampaignState) -> OpenTask:
        """Make the task of the next round.

        Args:
            campaign_id: The campaign's id, 32 bytes.
            campaign: The campaign's state.

        Returns:
            The action that opens the task.
        """
        setting, number, terms = self._setting, campaign.last_round + 1, campaign.terms
        prices = compute_round_prices(terms.budget, terms.rounds, terms.spread, number, terms.split)
        base = _WEIGHTS if number == 1 else campaign.last_aggregate
        is_exact = setting.schedule == task_pb2.SCHEDULE_EXACT
        return OpenTask(
            campaign_id=campaign_id,
            round=number,
            base=base,
            aggregate=sha256(b"aggregate", number.to_bytes(4, "big")),
            updates=[self._update(client, campaign_id, number, base) for client in self.clients],
            evaluation=EvaluationShard(artifact=_SHARD, index=0, path=[], size=setting.game.size),
            utility=task_pb2.UTILITY_ACCURACY,
            empty_coalition=task_pb2.EMPTY_COALITION_BASE_MODEL,
            averaging=task_pb2.AVERAGING_RENORMALISED,
            sampling=Sampling(
                schedule=setting.schedule,  # type: ignore[arg-type]
                max_samples=0 if is_exact else setting.max_samples,
            ),
            prices=RoundPrices(
                training=prices.training, aggregation=prices.aggregation, mining=prices.mining
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
        return sign_update(update, client, self._genesis_hash)
