"""Have each round of a Flower run valued by miners, and its clients paid on the chain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result, Strategy

from fedcoin.application.configuration.pinned_genesis import parse_genesis_argument
from fedcoin.application.coordinator.round_record import RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import build_manifest, compute_artifact_id
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.integrations.flower.campaign_terms import read_terms_of_campaign
from fedcoin.integrations.flower.early_reading import EarlyReading
from fedcoin.integrations.flower.event_loop_thread import EventLoopThread
from fedcoin.integrations.flower.paid_rounds import PaidRounds
from fedcoin.integrations.flower.round_terms import (
    RECEIPT_ACTION,
    RECORD,
    RoundTerms,
    receipt_content,
    take_update,
)
from fedcoin.integrations.flower.tensor_layout import TensorLayout, match_layout
from fedcoin.integrations.flower.train_replies import (
    EXAMPLES_KEY,
    count_examples,
    order_arrays,
    read_arrays,
    split_replies,
)
from fedcoin.integrations.flower.wrapped_strategy import WrappedStrategy, logger
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.artifact_checks.weight_checks import check_weights
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.v1.artifact_pb2 import ModelSpec

_NANO: Final = 1e-9
_TIMEOUT_S: Final = 3600.0


class PaidFederation(WrappedStrategy):
    """Wraps a strategy; miners value each round's clients, and the chain pays them.

    Clients need `SigningMod`, and are known by the FedCoin address of their key. A reply that is
    not signed, was signed for something else or does not fit the model is left out of the round,
    in the strategy and on the chain, in words about its sender. Replies may come in any order.

    Strategies that average as FedAvg does, with float32 arrays, have one campaign for all rounds;
    each round then starts from the average on the chain, which is FedAvg's up to rounding. A
    campaign with a unit price goes on from its best model, so that it pays no gain twice. For all
    other strategies and dtypes each round is a campaign of its own, from the arrays that the
    strategy sends, with an equal part of the budget.

    Args:
        strategy: The wrapped strategy, which is asked everything that it would be asked alone.
        node: `host:port` of a FedCoin node.
        key: Pays the budget, and is paid the aggregation price.
        genesis: The path of the network's genesis.json, or its hash: 32 bytes or 64 hex digits.
        campaign: Settings of the table `[coordinator]`, such as `model`, `dataset`, `rounds` and
            `budget`. `averaging` is by examples unless it is set, as in FedAvg.
        folder: Keeps state and artifacts. A run that was ended goes on from it.
        credentials: TLS for the node; None for plaintext. `TlsFiles` of
            `fedcoin.network.peers.connections.tls_files` reads files that are renewed again.
        examples_key: The metric that holds a client's number of examples.

    Raises:
        RefusalError: BAD_CONFIG or UNKNOWN_SETTING for a wrong value or name in `campaign`;
            BAD_GENESIS when the genesis file is malformed.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        node: str,
        key: KeyPair,
        genesis: str | bytes,
        campaign: Mapping[str, object],
        folder: Path | str,
        credentials: Credentials | None = None,
        examples_key: str = EXAMPLES_KEY,
    ) -> None:
        super().__init__(strategy)
        is_average = _is_average(strategy, examples_key)
        default = {"averaging": "renormalised"} if is_average else {}
        self._is_average = is_average
        self._genesis_hash = (
            genesis if isinstance(genesis, bytes) else parse_genesis_argument(genesis)
        )
        terms = read_terms_of_campaign({**default, **campaign})
        self._key, self._has_receipts = key, terms.receipt_seconds > 0
        self._rounds = PaidRounds(
            terms,
            key,
            self._genesis_hash,
            node,
            Path(folder),
            logger.info,
            credentials,
        )
        self._examples_key = examples_key
        self._timeout_s = _TIMEOUT_S
        self._loop: EventLoopThread | None = None
        self._spec = ModelSpec()
        self._layout = TensorLayout((), ())
        self._is_round_each = False
        self._sent = ArrayRecord()
        self._grid: Grid | None = None
        self._early = EarlyReading(self._read)
        self._next: ArrayRecord | None = None
        """The arrays that the campaign's next round starts from, once a round has ended."""
        self.records: list[RoundRecord] = []
        """The outcome of each round of this run that was valued."""

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int | None = None,
        timeout: float = _TIMEOUT_S,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the campaign's rounds.

        A run that was ended before its last round goes on: with the arrays on the chain where one
        campaign has all rounds, else with `initial_arrays`.

        Args:
            grid: Reaches the nodes.
            initial_arrays: The model that a new campaign starts from.
            num_rounds: How many rounds to run; None for all that the campaign has left.
            timeout: How long to wait for clients to train, and to keep their receipts, in seconds
                each.
            train_config: Settings that Flower sends to clients for training; None for none.
            evaluate_config: Settings that Flower sends to clients for evaluation; None for none.
            evaluate_fn: Takes a round and the model's arrays, and returns metrics; None evaluates
                nothing on the server.

        Returns:
            Flower's result. Metrics of training hold each client's `shapley:ADDRESS` and
            `paid-sap:ADDRESS`, the average's `utility-on-chain`, and `settlement-seconds`: how
            long the round waited for its values and payment.

        Raises:
            RefusalError: CAMPAIGN_FINISHED when the campaign has fewer rounds left; WRONG_NAMES or
                WRONG_SHAPE when the arrays are not the model's; a code of `PaidRounds`, such as
                HOME_IN_USE, WRONG_NETWORK or BAD_DATASET, when the campaign cannot be opened or go
                on.
            RpcError: The chain refuses a transaction, or the node a call.
            WorkerError: A worker process died twice on the same work.
        """
        self._timeout_s = timeout
        with EventLoopThread() as loop, self._early.watching(grid):
            self._loop = loop
            try:
                loop.call(self._rounds.open())
                self._spec = loop.call(self._rounds.load_model())
                self._layout = match_layout(self._spec, initial_arrays)
                self._is_round_each = not (
                    self._is_average and self._layout.is_float32(initial_arrays)
                )
                self._rounds.choose(is_round_each=self._is_round_each)
                result: Result = super().start(
                    grid,
                    initial_arrays,
                    self._check_rounds(num_rounds),
                    timeout,
                    train_config,
                    evaluate_config,
                    evaluate_fn,
                )
            finally:
                loop.call(self._rounds.close())
                self._loop = None
        return result

    def return_rest(self) -> None:
        """Close a campaign whose rounds are not all run; the rest of its budget is returned.

        Raises:
            RefusalError: HOME_IN_USE when another process uses the folder; WRONG_NETWORK when the
                node belongs to another network; BAD_STATE or WRONG_CHAIN when the saved campaign is
                damaged or another network's.
            RpcError: The chain refuses the transaction.
        """
        with EventLoopThread() as loop:
            try:
                loop.call(self._rounds.open())
                loop.call(self._rounds.return_rest())
            finally:
                loop.call(self._rounds.close())

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Begin the campaign's next round, and add its terms to the wrapped strategy's messages.

        Args:
            server_round: The round's number in this run, from 1.
            arrays: The global model.
            config: Settings for the clients.
            grid: Reaches the nodes.

        Returns:
            One message for each node that trains.
        """
        weights = b"" if arrays is self._next else self._layout.encode(arrays)
        self._running().call(self._rounds.begin(weights))
        self._grid = grid
        campaign = self._rounds.campaign
        sent = arrays
        if weights and compute_artifact_id(weights) != campaign.base:
            sent = self._layout.decode(self._rounds.base, like=arrays)
        self._sent = sent
        terms = RoundTerms(
            campaign.campaign_id, campaign.round, campaign.base, self._layout, self._examples_key
        )
        messages = list(super().configure_train(server_round, sent, config, grid))
        for message in messages:
            # A strategy may give all its messages one content; the record is the same for all.
            message.content[RECORD] = terms.to_record()
        self._early.begin()
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies, aggregate with the wrapped strategy, and have the round paid.

        Args:
            server_round: The round's number in this run, from 1.
            replies: The replies, in any order.

        Returns:
            The model that the next round starts from, and the wrapped strategy's metrics with
            those of the payment.
        """
        answered, failed = split_replies(replies)
        pairs = self._accept(answered)
        self._early.end()
        if self._has_receipts:
            # On the disk first: what has a receipt is owed for, so no restart may train it again.
            self._running().call(self._rounds.end_training())
            self._hand_out_receipts(pairs)
        accepted = [reply for reply, _ in pairs]
        for reply in accepted:
            order_arrays(reply.content, self._sent)
        arrays, metrics = super().aggregate_train(server_round, [*accepted, *failed])
        began = time.monotonic()
        record = self._running().call(self._rounds.end())
        if record is not None:
            self.records.append(record)
            seconds = time.monotonic() - began
            metrics = MetricRecord({**(metrics or {}), **_metrics(record, seconds)})
            if not self._is_round_each:
                like = arrays if arrays is not None else self._sent
                arrays = self._layout.decode(self._rounds.base, like=like)
                self._next = arrays
        return arrays, metrics

    def _hand_out_receipts(self, accepted: Iterable[tuple[Message, Update]]) -> None:
        """Send each client its receipt, before the task is opened."""
        messages = []
        for reply, update in accepted:
            receipt = sign_receipt(update, unix_ms(), self._key, self._genesis_hash)
            node, kind = reply.metadata.src_node_id, f"query.{RECEIPT_ACTION}"
            content = receipt_content(receipt)
            messages.append(Message(content, dst_node_id=node, message_type=kind))
        assert self._grid is not None
        answers = list(self._grid.send_and_receive(messages, timeout=self._timeout_s))
        failed = [answer for answer in answers if answer.has_error()]
        for answer in failed:
            logger.warning(
                "node %d keeps no receipt: %s", answer.metadata.src_node_id, answer.error.reason
            )
        logger.info("%d of %d clients keep a receipt", len(answers) - len(failed), len(messages))

    def _accept(self, replies: Iterable[Message]) -> list[tuple[Message, Update]]:
        """Take the replies' updates into the round; returns those accepted, by address."""
        submitted: list[tuple[Message, Update, Future[None]]] = []
        for reply in replies:
            try:
                submitted.append((reply, *self._early.take(reply)))
            except RefusalError as refusal:
                _leave_out(reply, refusal)
        accepted: list[tuple[Message, Update]] = []
        for reply, update, submission in submitted:
            try:
                submission.result()
            except RefusalError as refusal:
                _leave_out(reply, refusal)
            else:
                accepted.append((reply, update))
        # In the order of addresses, so that the order of replies changes no rounding.
        accepted.sort(key=lambda one: one[1].address)
        self._running().call(self._rounds.accept(update for _, update in accepted))
        return accepted

    def _read(self, reply: Message) -> tuple[Update, Future[None]]:
        """Check a reply's signed update against its arrays and examples, and submit it."""
        update = decode_update(take_update(reply.content), self._genesis_hash)
        client = format_address(update.address)
        tensors = self._layout.read(read_arrays(reply.content))
        weights = encode_tensors(tensors)
        manifest = build_manifest(weights)
        if manifest.id != update.update:
            raise RefusalError(
                DataCode.BAD_SIGNATURE,
                f"{client} signed other arrays than the reply holds; SigningMod must be the first"
                " of the client's mods, so that none changes the arrays after it",
                field="update.update",
            )
        examples = count_examples(reply.content, self._examples_key)
        if examples != update.num_samples:
            raise RefusalError(
                LearningCode.BAD_SAMPLES,
                f"{client} signed {update.num_samples} examples; the reply says {examples}",
                field=self._examples_key,
            )
        check_weights(self._spec, tensors, f"the update of {client}")
        # The next reply is checked while this one is written to the disk.
        return update, self._running().begin(self._rounds.submit(update, weights, manifest))

    def _check_rounds(self, num_rounds: int | None) -> int:
        left = self._rounds.count_left()
        wanted = left if num_rounds is None else num_rounds
        if not 1 <= wanted <= left:
            raise RefusalError(
                ApplicationCode.CAMPAIGN_FINISHED,
                f"the campaign has {left} rounds left, and {wanted} are to be run: ask for at most"
                " that many, or use another folder to begin a new campaign",
                field="num_rounds",
                limit=str(left),
            )
        return wanted

    def _running(self) -> EventLoopThread:
        assert self._loop is not None, "call start, which runs the rounds"
        return self._loop


def _leave_out(reply: Message, refusal: RefusalError) -> None:
    logger.warning(
        "the reply of node %d is left out of this round: %s",
        reply.metadata.src_node_id,
        refusal.message,
    )


def _is_average(strategy: Strategy, examples_key: str) -> bool:
    """Tell whether a strategy's model is the average by examples, as FedAvg's is."""
    if not isinstance(strategy, FedAvg):
        return False
    inherits = type(strategy).aggregate_train is FedAvg.aggregate_train
    return inherits and strategy.weighted_by_key == examples_key


def _metrics(record: RoundRecord, seconds: float) -> dict[str, float]:
    found: dict[str, float] = {
        "utility-on-chain": record.fraction,
        "is-paid": int(record.settled),
        "settlement-seconds": seconds,
    }
    for client in record.clients:
        address = format_address(client.address)
        found[f"shapley:{address}"] = client.shapley_nano * _NANO
        found[f"paid-sap:{address}"] = client.payout
    return found
