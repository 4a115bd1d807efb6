"""Train with a program of the client's own, in any framework, instead of the built-in trainer.

For each round the program finds a folder with the model, the base weights and the settings, and
writes its weights there, in any format of `fedcoin.learning.files`. Its variables are in
`VARIABLES`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedcoin.application.client.program_privacy import (
    PRIVACY_FILE,
    ProgramPrivacy,
    read_program_privacy,
)
from fedcoin.application.client.program_process import run_program
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.files.array_files import write_arrays
from fedcoin.learning.measures.terms import TERMS
from fedcoin.learning.model.frozen_weights import load_frozen
from fedcoin.learning.model.spec import is_onnx, parse_spec, trained_shapes
from fedcoin.learning.model.weight_files import WeightsFile, read_weights_file
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.v1 import task_pb2

DEFAULT_SECONDS: Final = 3600.0
"""How long a program may run in a round, in seconds, unless the caller says otherwise."""

VARIABLES: Final = {
    "FEDCOIN_ROUND_FOLDER": "the round's folder, which is deleted afterwards",
    "FEDCOIN_ROUND_MODEL": "the model: model.json (a Keras architecture) or model.onnx",
    "FEDCOIN_ROUND_BASE": "base.npz: the weights to start from, by name",
    "FEDCOIN_ROUND_FROZEN": "frozen.npz: the weights that stay as they are, not part of the "
    "update; not there if all are trained",
    "FEDCOIN_ROUND_SETTINGS": "round.json: round, rounds, epochs, batch_size, learning_rate, seed, "
    "measure, input_shape, num_classes, weights (name and shape of each that is trained)",
    "FEDCOIN_ROUND_UPDATE": "update.npz: where the program writes the trained weights, by the same "
    "names, and num_samples; update.safetensors, update.pt and Keras files do as well",
    "FEDCOIN_ROUND_PRIVACY": "privacy.json: where a program that trains with differential privacy "
    "writes clip, noise_multiplier, sampling_rate and steps; read with --claim-privacy",
}
"""The environment variables of a program, and what they hold."""

_HIDDEN: Final = ("FEDCOIN_PASSPHRASE",)


@dataclass(frozen=True, slots=True)
class OwnProgram:
    """A training program, and its bounds."""

    command: tuple[str, ...]
    """The program and its arguments."""
    seconds: float = DEFAULT_SECONDS
    """How long it may run in a round, in seconds."""
    claims_privacy: bool = False
    """Whether it trains with differential privacy, and must write `PRIVACY_FILE`."""

    @property
    def text(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.command)


@dataclass(frozen=True, slots=True)
class TrainedWeights:
    """What a training left."""

    tensors: bytes
    """The trained weights as encoded tensors."""
    num_samples: int
    """The number of training examples."""
    privacy: ProgramPrivacy | None = None
    """What an own program says of its differential privacy; None when nothing is claimed."""


@dataclass(frozen=True, slots=True)
class RoundWork:
    """What a round is trained from."""

    round: int
    """The round's number, from 1."""
    rounds: int
    """The number of rounds of the campaign."""
    model: bytes
    """The serialised ModelSpec."""
    base: bytes
    """The base weights as encoded tensors."""
    plan: TrainingPlan
    """How the coordinator asks its clients to train; a program may do otherwise."""
    seed: int
    """The client's own seed."""
    frozen: Path | None = None
    """The file of the model's frozen weights, as tensors; None for a model without."""
    utility: int = task_pb2.UTILITY_ACCURACY
    """What the campaign's models are measured by, a value of the enum `Utility`."""


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command line into the program and its arguments, as a shell would.

    Args:
        text: The command line. Nothing in it is expanded.

    Returns:
        The program and its arguments, at least one string.

    Raises:
        ValueError: It is empty, or a quotation is not closed.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"must be a command line such as 'python train.py' ({error})") from None
    if not words:
        raise ValueError("must name a program, such as 'python train.py'")
    return words


def prepare_reading() -> None:
    """Import what reads a program's update, in the worker process that shall read it."""


async def train_by_program(
    program: OwnProgram, work: RoundWork, training: TrainingPool, report: Callable[[str], None]
) -> TrainedWeights:
    """Run a program for a round, and read what it wrote.

    Args:
        program: The command and its time limit.
        work: What the round is trained from.
        training: Reads the program's file in a worker process.
        report: Gets the program's output, line by line.

    Returns:
        The trained weights, the number of training examples, and the privacy that it claims.

    Raises:
        RefusalError: PROGRAM_FAILED when the program cannot be started, fails, takes too long,
            writes no file or several, or does not say how private its training was although it
            must; WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or
            BAD_SAMPLES when its file does not hold the model's weights and a number of examples
            (`read_weights_file`).
        WorkerError: The file's reader died twice.
    """
    with tempfile.TemporaryDirectory(prefix="fedcoin-round-") as name:
        folder = Path(name)
        variables = await asyncio.to_thread(write_round, folder, work)
        environment = {k: v for k, v in os.environ.items() if k not in _HIDDEN}
        try:
            end = await run_program(
                program.command, {**environment, **variables}, program.seconds, report
            )
        except OSError as error:
            raise _failed(program, work, f"cannot be started: {error.strerror}") from error
        if end.timed_out:
            limit = f"was stopped after {program.seconds:g} s (--time-limit); it {end.describe()}"
            raise _failed(program, work, limit, f"{program.seconds:g}")
        if end.exit_code:
            raise _failed(program, work, end.describe())
        path = _find_update(program, work, folder)
        privacy = _read_privacy(program, work, folder / PRIVACY_FILE, report)
        read: WeightsFile = await training.run(
            "while reading the program's update", read_weights_file, path, work.model
        )
    for remark in read.remarks:
        report(f"{path.name}: {remark}")
    num_samples = read.num_samples or 1
    report(f"{path.name}: trained on {format_count(num_samples, 'example')}")
    return TrainedWeights(read.tensors, num_samples, privacy)


def _read_privacy(
    program: OwnProgram, work: RoundWork, path: Path, report: Callable[[str], None]
) -> ProgramPrivacy | None:
    if not program.claims_privacy:
        if path.exists():
            report(f"{path.name} is not used: nothing is claimed without --claim-privacy")
        return None
    try:
        return read_program_privacy(path)
    except ValueError as error:
        raise _failed(program, work, str(error)) from error


def write_round(folder: Path, work: RoundWork) -> dict[str, str]:
    """Write what a program trains from.

    Args:
        folder: An empty folder.
        work: What the round is trained from.

    Returns:
        The values of `VARIABLES`.

    Raises:
        RefusalError: BAD_TENSOR when the weights cannot be decoded; a code of `parse_spec`, such as
            BAD_MODEL, when the model is not accepted.
        OSError: A file cannot be written.
    """
    spec = parse_spec(work.model)
    model = folder / ("model.onnx" if is_onnx(spec) else "model.json")
    model.write_bytes(spec.onnx if is_onnx(spec) else spec.keras_json.encode())
    write_arrays(folder / "base.npz", decode_tensors(work.base))
    frozen = load_frozen(spec, work.frozen)
    if frozen:
        write_arrays(folder / "frozen.npz", frozen)
    settings: dict[str, Any] = {
        "round": work.round,
        "rounds": work.rounds,
        "epochs": work.plan.epochs,
        "batch_size": work.plan.batch_size,
        "learning_rate": work.plan.learning_rate,
        "seed": (work.plan.seed + work.seed) % 2**32,
        "measure": TERMS[work.utility].name if work.utility in TERMS else "",
        "input_shape": list(spec.input_shape),
        "num_classes": spec.num_classes,
        "weights": [
            {"name": name, "shape": list(shape)} for name, shape in trained_shapes(spec).items()
        ],
    }
    (folder / "round.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    names = ("base.npz", "frozen.npz", "round.json", "update.npz", PRIVACY_FILE)
    paths = (folder, model, *(folder / name for name in names))
    return dict(zip(VARIABLES, map(str, paths), strict=True))


def _find_update(program: OwnProgram, work: RoundWork, folder: Path) -> Path:
    """Find the file that a program wrote, which must not be much longer than its base."""
    found = sorted(path for path in folder.glob("update.*") if path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise _failed(
            program,
            work,
            f"ended well, but must write one file update.* into its folder; found: {names}",
        )
    most = 4 * len(work.base) + (1 << 20)
    if (size := found[0].stat().st_size) > most:
        raise _failed(
            program,
            work,
            f"wrote {size} bytes to {found[0].name}; weights of this model take at most {most}",
            str(most),
        )
    return found[0]


def _failed(program: OwnProgram, work: RoundWork, how: str, limit: str = "") -> RefusalError:
    return RefusalError(
        ApplicationCode.PROGRAM_FAILED,
        f"round {work.round}: the program `{program.text}` {how}",
        field="command",
        limit=limit,
    )
