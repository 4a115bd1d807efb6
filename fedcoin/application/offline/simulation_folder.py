"""The folder that a simulated training writes: weights, keys, and a manifest of both.

```
manifest.json         what the folder holds
model                 the serialised ModelSpec
base                  the weights from which all clients started
frozen                the weights that no client trains, if there are any
evaluation            the evaluation set, as tensors x and y
client-1.weights ...  each client's trained weights
keys/client-1.key ... each client's private key, so that it can be paid
```
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.errors import RefusalError
from fedcoin.learning.training.training_plan import TrainingPlan

MODEL, BASE, EVALUATION, KEYS, FROZEN = "model", "base", "evaluation", "keys", "frozen"
"""Names within the folder."""

_MANIFEST = "manifest.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SimulatedClient:
    """One client of a simulated training."""

    address: str
    """The address, bech32m."""
    role: str
    """One of `simulation.ROLES`."""
    num_samples: int
    """Training examples."""
    weights: str
    """The file of its weights, relative to the folder."""
    artifact: str
    """The artifact id of its weights, in hex."""
    key: str
    """The file of its private key, relative to the folder."""
    utility: int
    """Utility of its own weights on the evaluation set: with the accuracy, its right answers."""


@dataclass(frozen=True, slots=True)
class SimulationManifest:
    """The contents of a folder, and the settings that produced them. Artifact ids are in hex."""

    dataset: str
    """A name or path for `datasets.load_dataset`."""
    model: str
    """A name, or the path of a Keras architecture or of an ONNX file."""
    seed: int
    """Seeded the initial weights, the shares, the wrong labels and the order of examples."""
    plan: TrainingPlan
    """How the clients trained."""
    model_artifact: str
    """The ModelSpec."""
    base_artifact: str
    """The weights that all clients started from."""
    evaluation_artifact: str
    """The evaluation set."""
    evaluation_size: int
    """Number of evaluation examples."""
    clients: tuple[SimulatedClient, ...]
    """The clients, in order."""
    partition: str = "linear"
    """How the training set was divided among the clients (`partition_spec`)."""
    measure: str = "accuracy"
    """The name of the measure (`learning.measures.terms`)."""
    frozen_artifact: str = ""
    """The frozen weights; empty when all are trained."""


def create_folder(folder: Path) -> None:
    """Create the folder, with a folder for keys that only its owner can read.

    Args:
        folder: A path that does not exist, or an empty folder.

    Raises:
        RefusalError: BAD_STATE when it is not empty.
        OSError: It cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"{folder} is not empty; name a new folder",
            field="folder",
        )
    (folder / KEYS).mkdir(mode=0o700)


def write_manifest(folder: Path, manifest: SimulationManifest) -> None:
    """Write the manifest, last of all files.

    Args:
        folder: A folder that holds all files of the simulation but the manifest.
        manifest: Its content.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({"version": _VERSION, **asdict(manifest)}, indent=2)
    (folder / _MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> SimulationManifest:
    """Read the manifest, and check that the files are those that it describes.

    Args:
        folder: A folder that `simulation.simulate` wrote.

    Returns:
        What the simulation wrote about its clients, its plan and its files.

    Raises:
        RefusalError: BAD_STATE when it is missing or damaged, or a file is missing, has changed or
            is not named in it.
    """
    path = folder / _MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("version")
        if version != _VERSION:
            raise ValueError(f"version {version} is not {_VERSION}")
        clients = [SimulatedClient(**client) for client in content.pop("clients")]
        plan = TrainingPlan(**content.pop("plan"))
        manifest = SimulationManifest(**content, plan=plan, clients=tuple(clients))
        _check_files(folder, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"{path} is not the manifest of a simulated training: {error}",
            field="folder",
        ) from error
    return manifest


def _check_files(folder: Path, manifest: SimulationManifest) -> None:
    files = {
        MODEL: manifest.model_artifact,
        BASE: manifest.base_artifact,
        EVALUATION: manifest.evaluation_artifact,
        **{client.weights: client.artifact for client in manifest.clients},
        **({FROZEN: manifest.frozen_artifact} if manifest.frozen_artifact else {}),
    }
    for name, artifact in files.items():
        if compute_artifact_id(folder / name).hex() != artifact:
            raise ValueError(f"{name} has changed since it was written")
    for entry in folder.iterdir():
        # A client's file that was put there by hand would be left out of the task.
        if entry.name not in (*files, _MANIFEST, KEYS) and not entry.name.startswith("."):
            raise ValueError(f"{entry.name} is not a file of it; move it elsewhere")
