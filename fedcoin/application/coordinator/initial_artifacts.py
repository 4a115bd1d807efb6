"""The beginning of a campaign: the model, its first weights, the evaluation set."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_models
from fedcoin.learning.training.datasets import EvaluationSet, load_evaluation_set
from fedcoin.learning.workers.process import WorkerProcess


@dataclass(frozen=True, slots=True)
class InitialArtifacts:
    """What a campaign starts from: serialised ModelSpec, encoded weights, evaluation set."""

    model: bytes
    weights: bytes
    evaluation: EvaluationSet


async def build_initial_artifacts(
    dataset: str, model: str, seed: int, *, evaluation_size: int = 0, shards: int = 1
) -> InitialArtifacts:
    """Make them in a process of their own, which imports TensorFlow and ends again.

    ``model`` is a name or the path of a Keras architecture JSON. Raises Refusal: those of
    ``datasets`` and ``models``.
    """
    described = await asyncio.to_thread(model_text, model)
    process = WorkerProcess()
    await process.start()
    try:
        examples = await process.call(load_evaluation_set, dataset, evaluation_size, shards)
        spec, weights = await process.call(
            keras_models.create_initial_model,
            described,
            examples.input_shape,
            examples.num_classes,
            seed,
        )
    finally:
        await process.stop()
    return InitialArtifacts(spec, weights, examples)


def model_text(model: str) -> str:
    """A model's name, or the JSON in the file of that name."""
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


async def prepare_campaign(
    config: CoordinatorConfig, chain_id: str, store: ArtifactStore
) -> Campaign:
    """A campaign that nobody knows of yet, its artifacts in the store."""
    materials = await build_initial_artifacts(
        config.dataset,
        config.model,
        config.seed,
        evaluation_size=config.evaluation_size,
        shards=config.evaluation_shards or config.rounds,
    )
    return await asyncio.to_thread(create_campaign, config, chain_id, store, materials)


def create_campaign(
    config: CoordinatorConfig, chain_id: str, store: ArtifactStore, materials: InitialArtifacts
) -> Campaign:
    """The campaign that starts from these materials, which are put in the store."""
    weights = store.put(materials.weights)
    examples = materials.evaluation
    shards = [
        EvaluationShard(store.put(raw), size)
        for raw, size in zip(examples.shards, examples.sizes, strict=True)
    ]
    return Campaign(
        chain_id=chain_id,
        rounds=config.rounds,
        max_clients=config.max_clients,
        model=store.put(materials.model),
        initial=weights,
        base=weights,
        shards=tuple(shards),
    )
