"""The artifacts that a campaign starts from: model, initial weights, evaluation set.

They are made from the settings, and uploaded to a node before the budget goes into escrow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.application.coordinator.clients_file import read_clients_file
from fedcoin.application.coordinator.fixed_settings import render_fixed, render_others
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.hdf5_format import read_architecture
from fedcoin.learning.files.stored_arrays import unreadable
from fedcoin.learning.measures.target_kind import find_target_kind
from fedcoin.learning.measures.terms import NAMES
from fedcoin.learning.model import onnx_files
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import check_shards
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.keras_format.named_models import MODEL_NAMES
from fedcoin.learning.model.weight_files import continue_from, read_weights_file
from fedcoin.learning.training.datasets import EvaluationSet, load_evaluation_set
from fedcoin.learning.workers.process import WorkerProcess
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2


@dataclass(frozen=True, slots=True)
class InitialArtifacts:
    """The contents of a campaign's first artifacts."""

    model: bytes
    """The serialised ModelSpec."""
    weights: bytes
    """The initial weights, as `tensors.encode_tensors` encodes them; the trained ones only."""
    evaluation: EvaluationSet
    """The examples that utilities are counted on."""
    model_divisor: float = 1.0
    """What the first layer of a built-in model divides the inputs by; 1 for other models."""

    model_changes: tuple[str, ...] = ()
    """What was changed in the architecture's file, each in a few words."""
    frozen: bytes = b""
    """The frozen weights, encoded; empty when all are trained."""
    weights_changes: tuple[str, ...] = ()
    """Which file they were read from, and what was changed, each in a few words; none without."""

    def describe(self) -> tuple[str, ...]:
        """Describe the evaluation set's inputs, and what was changed in the model.

        Returns:
            Sentences for logs and reports.
        """
        return (
            self.describe_inputs(),
            *(f"model: {change}" for change in self.model_changes),
            *(f"initial weights: {change}" for change in self.weights_changes),
        )

    def describe_inputs(self) -> str:
        """Describe the evaluation set's inputs in a sentence for logs and reports.

        Returns:
            Such as "inputs 0 to 16 (uint8), not scaled; the model divides them by 16".
        """
        described = self.evaluation.inputs.describe()
        if self.model_divisor == 1:
            return described
        return f"{described}; the model divides them by {self.model_divisor:g}"


async def build_initial_artifacts(
    dataset: str,
    model: str,
    seed: int,
    *,
    evaluation_size: int = 0,
    num_shards: int = 1,
    scale: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
    trained: Sequence[str] = (),
    initial_weights: str = "",
) -> InitialArtifacts:
    """Build a model and an evaluation set, in a process that may import TensorFlow and then ends.

    Args:
        dataset: A name or path for `datasets.load_dataset`.
        model: A name (`MODEL_NAMES`), the path of a Keras architecture `*.json`, or
            that of a network `*.onnx` or a model `*.keras`, whose weights are the initial ones.
        seed: Seeds the initial weights.
        evaluation_size: How many test examples to use; 0 for all.
        num_shards: How many shards to cut them into.
        scale: What to divide the inputs by, as in `datasets.load_dataset`.
        utility: What models are measured by, a value of the enum `Utility`.
        trained: Patterns of the names of weights to train (`freeze_weights`); none for all.
        initial_weights: The path of a file of weights (`continue_from`) in place of the model's
            own; empty for these.

    Returns:
        The contents of the artifacts.

    Raises:
        RefusalError: UNKNOWN_DATASET or BAD_DATASET when the data set is missing or invalid, or
            `scale` is no divisor; BAD_SHARE when it has fewer examples than `evaluation_size` or
            `num_shards`; UNKNOWN_MODEL, NO_FILE or UNREADABLE_FILE when the model's file cannot be
            read; BAD_MODEL when it does not fit the data; MODEL_TOO_LARGE, FORBIDDEN_LAYER or
            WRONG_DTYPE when it is not accepted; WRONG_NAMES or WRONG_SHAPE when the file of
            initial weights does not hold the model's; WRONG_SHAPE, NOT_FINITE, OUT_OF_RANGE,
            LABEL_OUT_OF_RANGE or UNFIT_MEASURE when the evaluation set fits neither model nor
            measure.
        WorkerError: The process died.
    """
    name_or_json = await asyncio.to_thread(_read_model_argument, model)
    changes: tuple[str, ...] = ()
    kind = find_target_kind(utility)
    process = WorkerProcess()
    await process.start()
    try:
        evaluation = await process.call(
            load_evaluation_set, dataset, evaluation_size, num_shards, scale, kind
        )
        shapes = (evaluation.input_shape, evaluation.num_classes)
        divisor = evaluation.inputs.model_divisor if model in MODEL_NAMES else 1.0
        if model.endswith(".onnx"):
            spec, weights = await process.call(
                onnx_files.create_onnx_model, model, *shapes, kind, evaluation.positions
            )
        else:
            spec, weights, changes = await process.call(
                keras_import.create_initial_model,
                name_or_json, *shapes, seed, divisor, kind, evaluation.positions,
            )  # fmt: skip
        if model.endswith(".keras"):
            weights = (await process.call(read_weights_file, Path(model), spec)).tensors
        remarks: tuple[str, ...] = ()
        if initial_weights:
            divided, remarks = await process.call(
                continue_from, Path(initial_weights), spec, weights, tuple(trained)
            )
            remarks = (f"read from {initial_weights}", *remarks)
        else:
            divided = await process.call(freeze_weights, spec, weights, tuple(trained))
        spec = divided.spec
        await process.call(check_shards, spec, evaluation.shards, utility)
    finally:
        await process.stop()
    return InitialArtifacts(
        spec, divided.trained, evaluation, divisor, changes, divided.frozen, remarks
    )


async def prepare_campaign(
    config: CoordinatorConfig,
    chain: ChainIdentity,
    store: ArtifactStore,
    report: Callable[[str], None] = lambda line: None,
) -> Campaign:
    """Create a campaign that is not yet on the chain, from a coordinator's settings.

    Args:
        config: The coordinator's settings.
        chain: The network's name and genesis hash.
        store: Where the campaign's first artifacts are put.
        report: Called with sentences about the evaluation set's inputs and the model.

    Returns:
        The campaign's state, in phase WAITING of round 1.

    Raises:
        RefusalError: UNKNOWN_DATASET, BAD_DATASET or BAD_SHARE when the data set is missing,
            invalid or too small; UNKNOWN_MODEL or BAD_MODEL when the model cannot be read or does
            not fit it; another code of `build_initial_artifacts` when they are not accepted;
            BAD_ARTIFACT, TOO_LARGE or STORE_FULL when the store does not take an artifact.
        WorkerError: The process that imports TensorFlow died.
    """
    artifacts = await build_initial_artifacts(
        config.dataset,
        config.model,
        config.seed,
        evaluation_size=config.evaluation_size,
        num_shards=config.evaluation_shards or config.rounds,
        scale=config.input_scale,
        utility=NAMES[config.utility],
        trained=config.trained,
        initial_weights=config.initial_weights,
    )
    for sentence in artifacts.describe():
        report(f"{config.dataset}: {sentence}")
    return await asyncio.to_thread(create_campaign, config, chain, store, artifacts)


def create_campaign(
    config: CoordinatorConfig,
    chain: ChainIdentity,
    store: ArtifactStore,
    artifacts: InitialArtifacts,
) -> Campaign:
    """Create a campaign that starts from artifacts which have been built.

    Args:
        config: The coordinator's settings.
        chain: The network's name and genesis hash.
        store: Where the artifacts are put.
        artifacts: The contents of the artifacts.

    Returns:
        A campaign without clients, before its first round; it is not on the chain yet.

    Raises:
        RefusalError: BAD_ARTIFACT, TOO_LARGE or STORE_FULL when an artifact is empty, too large or
            has no room in the store; BAD_CONFIG when the file of clients is missing or invalid.
    """
    weights = store.put(artifacts.weights)
    evaluation = artifacts.evaluation
    shards = [
        EvaluationShard(store.put(content), size)
        for content, size in zip(evaluation.shards, evaluation.sizes, strict=True)
    ]
    return Campaign(
        chain_id=chain.chain_id,
        genesis_hash=chain.genesis_hash,
        rounds=config.rounds,
        max_clients=config.max_clients,
        model=store.put(artifacts.model),
        initial=weights,
        frozen=store.put(artifacts.frozen) if artifacts.frozen else b"",
        base=weights,
        shards=tuple(shards),
        listed=read_clients_file(config.clients_file),
        settings=render_fixed(config),
        other_settings=render_others(config),
    )


async def upload_first(
    campaign: Campaign,
    store: ArtifactStore,
    node: NodeClient,
    delivery: Delivery,
    *,
    is_private: bool = False,
) -> None:
    """Upload the model and its weights, and check that the node takes the other artifacts.

    The updates and their averages are as long as the initial weights. The evaluation set is not
    sent: clients must not see it before the first round is over.

    Args:
        campaign: A campaign that is not yet on the chain.
        store: Holds its artifacts.
        node: The node to which they go.
        delivery: Repeats calls while the node is away.
        is_private: Whether the campaign will be private. Then nothing is uploaded yet: a node can
            keep its artifacts apart once the campaign is on the chain.

    Raises:
        RefusalError: TOO_LARGE when the node does not store an artifact as large as a shard of the
            evaluation set.
        RpcError: The node refuses the model or the weights.
    """
    status = await delivery.retry_while_away(node.get_status)
    limit = status.max_artifact_bytes
    for shard in campaign.shards:
        size = store.path(shard.artifact).stat().st_size
        if size > limit:
            raise RefusalError(
                DataCode.TOO_LARGE,
                f"a shard of the evaluation set has {size} bytes; the node at {node.target} stores "
                f"artifacts up to {limit}: raise limits.artifact_bytes there, or choose a smaller "
                "coordinator.evaluation_size or more coordinator.evaluation_shards",
                field="evaluation",
                limit=str(limit),
            )
    if is_private:
        return
    for artifact in filter(None, (campaign.model, campaign.frozen, campaign.initial)):
        path = store.path(artifact)
        await delivery.retry_while_away(partial(node.upload_artifact, path))


def _read_model_argument(model: str) -> str:
    """Return a model's name as it is, or the content of an architecture's file."""
    if model.endswith(".keras"):
        if identify_file(Path(model)) is not FileKind.KERAS:
            raise unreadable(Path(model), "is no Keras model; save it by `model.save(path)`")
        return read_architecture(Path(model))
    if not model.endswith(".json"):
        return model
    try:
        return Path(model).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RefusalError(
            LearningCode.UNKNOWN_MODEL,
            f"the architecture {model} cannot be read: {error}",
            field="model",
        ) from error
