"""Read the model of a command from its file, in a worker process where that needs TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fedcoin.application.offline.valuation_files import read_model
from fedcoin.learning.model import keras_models, onnx_files
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.workers.pool import WorkerPool


async def load_spec(
    workers: WorkerPool,
    path: Path,
    content: bytes | None = None,
    report: Callable[[str], None] = lambda change: None,
    *,
    has_classes: bool = True,
) -> bytes:
    """Read a model's file as a ModelSpec.

    Args:
        workers: Worker processes that have been started.
        path: A file as `read_model` reads.
        content: What `read_model` returned for it; None to read it here.
        report: Called with what was changed in the architecture, a few words each.
        has_classes: Whether the model is a classifier; false for regression, which may have one
            output.

    Returns:
        The serialised ModelSpec, which is not checked if the file held one.

    Raises:
        RefusalError: NO_FILE or UNREADABLE_FILE when the file cannot be read; UNKNOWN_MODEL,
            BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted; MODEL_TOO_LARGE,
            WRONG_DTYPE or WRONG_SHAPE when a size, dtype or shape of it is not.
        WorkerError: A worker process died twice.
    """
    content = read_model(path) if content is None else content
    if path.suffix.lower() == ".onnx":
        read_spec = onnx_files.read_onnx_spec
        return await workers.run("while reading the model", read_spec, str(path))
    if content.lstrip().startswith(b"{"):
        text = content.decode("utf-8", "replace")
        spec, changes = await workers.run(
            "while reading the model", _spec_from_json, text, has_classes
        )
        for change in changes:
            report(change)
        return spec
    return content


def _spec_from_json(keras_json: str, has_classes: bool) -> tuple[bytes, tuple[str, ...]]:
    """Describe an architecture as a ModelSpec; for a worker process, as it imports TensorFlow."""
    model, changes = keras_import.import_model(keras_json, has_classes=has_classes)
    return keras_models.spec_from_model(model), changes
