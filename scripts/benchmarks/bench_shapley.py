"""Measure how fast coalitions are evaluated, compared with plain Keras.

    python -m scripts.benchmarks.bench_shapley [--case NAME] [--dataset mnist.npz] [--all] [--gpu]
        [--json]

Plain Keras evaluates one coalition at a time with its defaults: `model.set_weights(average)` and
`model.evaluate(x, y)`. FedCoin's `WorkerPool` has a child process for each core, as in a miner.
Both take turns within one run, and the smallest wall time of each counts. Every case also compares
the counts of right answers.

Workers have the environment variables that a miner gives them: without OPENBLAS_CORETYPE, which
chooses the kernels of a processor, unless `--keep-kernels` (FEDCOIN_KEEP_KERNELS) is given. Keras
does not use these kernels.

With `--gpu`, one worker evaluates by TensorFlow on a GPU (FEDCOIN_GPU), and plain Keras runs there
as well. Where TensorFlow finds no GPU, nothing is measured.

Cases: `mlp-exact` (784-128-10, 10 clients, all coalitions), `cnn`, `residual` (convolutions, batch
normalisation, a skip connection), `general` (batch normalisation, dropout, a skip connection),
`embedding`, `k100` (100 clients, 2,000 images, prefixes of permutations).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.application.configuration.cpu_count import count_usable_cpus
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.devices import GPU_VARIABLE, find_gpu, wants_gpu
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training import datasets
from fedcoin.learning.workers.executors import LocalExecutor
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import KEEP_KERNELS_VARIABLE, child_environment
from fedcoin.v1 import task_pb2
from scripts.benchmarks import keras_architectures

Report = dict[str, Any]
"""Measured numbers by their names."""

MEBIBYTE = 1 << 20
"""In bytes."""

MAX_CLIENTS = 12
"""The largest number of clients with which `--all` evaluates all coalitions."""


@dataclass(frozen=True)
class _Case:
    """A model, its clients, and the coalitions to evaluate."""

    architecture: keras_architectures.Architecture
    clients: int
    # Examples in the evaluation set.
    images: int
    # Makes coalitions, bool (m, n), of n clients.
    coalitions: Callable[[int], NDArray[np.bool_]]
    # How many coalitions plain Keras evaluates in each turn.
    plain: int
    # How many coalitions' counts are compared at the end.
    compared: int
    # How many turns there are.
    repeats: int = 3


def _all_coalitions(clients: int) -> NDArray[np.bool_]:
    """List all coalitions but the empty one."""
    masks = np.arange(1, 1 << clients)[:, None]
    return (masks >> np.arange(clients) & 1).astype(np.bool_)


def _some(count: int) -> Callable[[int], NDArray[np.bool_]]:
    """Choose random coalitions without repetition."""

    def choose(clients: int) -> NDArray[np.bool_]:
        rows = _all_coalitions(clients)
        return rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:count])]

    return choose


def _prefixes(count: int) -> Callable[[int], NDArray[np.bool_]]:
    """List all prefixes of random permutations."""

    def choose(clients: int) -> NDArray[np.bool_]:
        generator = np.random.default_rng(0)
        triangle = np.tri(clients, dtype=np.bool_)
        ranks = [np.argsort(generator.permutation(clients)) for _ in range(count)]
        return np.concatenate([triangle[:, rank] for rank in ranks])

    return choose


CASES = {
    "mlp-exact": _Case(keras_architectures.mlp, 10, 10_000, _all_coalitions, 8, 1023, 7),
    "cnn": _Case(keras_architectures.cnn, 10, 10_000, _some(32), 4, 16, 3),
    "general": _Case(keras_architectures.general, 10, 10_000, _some(256), 4, 16, 3),
    "embedding": _Case(keras_architectures.embedding, 10, 10_000, _some(64), 4, 16, 3),
    "residual": _Case(keras_architectures.residual, 10, 10_000, _some(32), 4, 16, 3),
    "k100": _Case(keras_architectures.mlp, 100, 2_000, _prefixes(2_500), 4, 16, 1),
}
"""What is measured, by name."""


class _Federation:
    """A trained federation of a case, as files and as a Keras model."""

    def __init__(self, case: _Case, dataset: Path | None, folder: Path) -> None:
        keras = keras_runtime.load_keras()
        self.data = datasets.load_dataset(str(dataset) if dataset else "digits")
        x, y = self.data.x_test, self.data.y_test
        repeats = -(-case.images // len(x))
        self.x = np.concatenate([x] * repeats)[: case.images]
        self.y = np.concatenate([y] * repeats)[: case.images]
        keras.utils.set_random_seed(1)
        built = case.architecture(
            keras,
            self.data.input_shape,
            self.data.num_classes,
            self.data.inputs.model_divisor,
        )
        self.spec = keras_models.spec_from_model(built)
        self.model = built
        self.model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        self.names = [weight.name for weight in parse_spec(self.spec).weights]
        self.base = [np.array(array) for array in self.model.get_weights()]
        self.updates = [self._train(keras, client, case.clients) for client in range(case.clients)]
        self.samples = tuple(500 + 37 * client % 400 for client in range(case.clients))
        self.folder = folder
        self._write()

    def _train(self, keras: Any, client: int, clients: int) -> list[NDArray[np.float32]]:
        """Train for two epochs on a client's own images, some of them with wrong labels."""
        generator = np.random.default_rng(client)
        chosen = generator.integers(0, len(self.data.x_train), 320)
        labels = self.data.y_train[chosen].astype(np.int64)
        wrong = generator.random(len(labels)) < 0.5 * client / clients
        labels[wrong] = generator.integers(0, self.data.num_classes, wrong.sum())
        self.model.set_weights(self.base)
        self.model.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        self.model.fit(self.data.x_train[chosen], labels, batch_size=32, epochs=2, verbose=0)
        return [np.array(array) for array in self.model.get_weights()]

    def _write(self) -> None:
        (self.folder / "model").write_bytes(self.spec)
        for number, weights in enumerate([self.base, *self.updates]):
            named = dict(zip(self.names, weights, strict=True))
            (self.folder / f"weights{number}").write_bytes(encode_tensors(named))
        (self.folder / "evaluation").write_bytes(encode_tensors({"x": self.x, "y": self.y}))

    def job(self, name: str) -> UtilityJob:
        return UtilityJob(
            job_id=name.encode(),
            model=self.folder / "model",
            base=self.folder / "weights0",
            updates=tuple(
                self.folder / f"weights{number + 1}" for number in range(len(self.updates))
            ),
            num_samples=self.samples,
            evaluation=self.folder / "evaluation",
            averaging=task_pb2.AVERAGING_RENORMALISED,
            empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        )

    def count_plainly(self, coalitions: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count right answers with plain Keras, one coalition after the other."""
        counts = []
        for average in self.averages(coalitions):
            self.model.set_weights(average)
            _, accuracy = self.model.evaluate(self.x, self.y, verbose=0)
            counts.append(round(accuracy * len(self.y)))
        return np.array(counts)

    def count_in_batches(self, coalitions: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count right answers with Keras in a few large batches, to compare many coalitions."""
        counts = []
        for average in self.averages(coalitions):
            self.model.set_weights(average)
            outputs = [
                np.asarray(self.model(self.x[cut : cut + 2_500], training=False))
                for cut in range(0, len(self.x), 2_500)
            ]
            counts.append(int((np.concatenate(outputs).argmax(axis=1) == self.y).sum()))
        return np.array(counts)

    def averages(self, coalitions: NDArray[np.bool_]) -> Iterator[list[NDArray[np.float32]]]:
        """Yield each coalition's averaged weights."""
        rows = coalition_coefficients(coalitions, self.samples, task_pb2.AVERAGING_RENORMALISED)
        owners = [*self.updates, self.base]
        stacks = [np.stack([owner[index] for owner in owners]) for index in range(len(self.base))]
        for row in rows.astype(np.float32):
            yield [np.tensordot(row, stack, 1) for stack in stacks]


@dataclass
class _Timings:
    """What each turn took, in seconds."""

    opening: list[float] = field(default_factory=list)
    evaluating: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    # Of plain Keras, for each coalition.
    plain: list[float] = field(default_factory=list)
    plain_cpu: list[float] = field(default_factory=list)


async def _take_turn(
    turn: int,
    case: _Case,
    federation: _Federation,
    coalitions: NDArray[np.bool_],
    workers: WorkerPool,
    timings: _Timings,
) -> tuple[NDArray[np.int64], int]:
    """Evaluate all coalitions with workers, and some with plain Keras.

    Returns all counts, and by how many images Keras' counts differ at most.
    """
    job = federation.job(f"turn {turn}")
    began = time.perf_counter()
    await workers.open_job(job)
    timings.opening.append(time.perf_counter() - began)
    cpu, began = _children_cpu(workers), time.perf_counter()
    counts = await workers.evaluate(job.job_id, coalitions)
    timings.evaluating.append(time.perf_counter() - began)
    timings.cpu.append(_children_cpu(workers) - cpu)
    await workers.close_job(job.job_id)
    step = max(1, len(coalitions) // case.plain)
    chosen = slice(turn % step, None, step)
    rows = coalitions[chosen][: case.plain]
    began, cpu = time.perf_counter(), time.process_time()
    plain = federation.count_plainly(rows)
    timings.plain.append((time.perf_counter() - began) / len(rows))
    timings.plain_cpu.append((time.process_time() - cpu) / len(rows))
    return counts, int(np.abs(plain - counts[chosen][: case.plain]).max())


async def _measure(name: str, case: _Case, dataset: Path | None, folder: Path) -> Report:
    federation = _Federation(case, dataset, folder)
    coalitions = case.coalitions(case.clients)
    federation.count_plainly(coalitions[:2])  # compiles the model before any time is measured
    # Workers would wait for each other on one GPU.
    workers = WorkerPool(executor=LocalExecutor(1 if wants_gpu() else count_usable_cpus()))
    await workers.start()
    timings, max_difference = _Timings(), 0
    try:
        for turn in range(case.repeats):
            counts, difference = await _take_turn(
                turn, case, federation, coalitions, workers, timings
            )
            max_difference = max(max_difference, difference)
        memory = [_peak_rss(pid) for pid in workers.pids]
    finally:
        await workers.stop()
    compared = np.linspace(0, len(coalitions) - 1, case.compared).astype(np.int64)
    off = np.abs(federation.count_in_batches(coalitions[compared]) - counts[compared])
    max_difference = max(max_difference, int(off.max()))
    seconds = min(timings.evaluating)
    if max_difference > max(1, len(federation.y) // 10_000):
        raise SystemExit(f"{name}: counts differ by {max_difference} of {len(federation.y)} images")
    return {
        "case": name,
        "dataset": dataset.name if dataset else "digits",
        "images": len(federation.y),
        "clients": case.clients,
        "coalitions": len(coalitions),
        "processes": len(memory),
        "seconds": seconds,
        "seconds_median": float(np.median(timings.evaluating)),
        "cpu_seconds": min(timings.cpu),
        "precompute_seconds": min(timings.opening),
        "plain_seconds_per_coalition": min(timings.plain),
        "plain_cpu_seconds_per_coalition": min(timings.plain_cpu),
        "ratio": min(timings.plain) * len(coalitions) / seconds,
        "cpu_ratio": min(timings.plain_cpu) * len(coalitions) / min(timings.cpu),
        "peak_rss_bytes": max(memory),
        "device": "GPU" if wants_gpu() else "processor",
        "kernels": child_environment(1).get("OPENBLAS_CORETYPE") or "the processor's own",
        "compared": len(compared),
        "most_images_off": max_difference,
        "coalitions_off": int(np.count_nonzero(off)),
    }


def _peak_rss(pid: int) -> int:
    """Return the largest memory that a process has held, in bytes; that of any child off Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10


def _children_cpu(worker: WorkerPool) -> float:
    """Return the processor time of all children so far, in seconds; 0 off Linux."""
    ticks = 0
    for pid in worker.pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _show(report: Report) -> None:
    print(
        f"{report['case']}: {report['coalitions']:,} coalitions of {report['clients']} clients on "
        f"{report['images']:,} images ({report['dataset']})\n"
        f"  ours   {report['seconds']:.3f} s ({report['cpu_seconds']:.2f} s of processor time, "
        f"median {report['seconds_median']:.3f} s) on {report['processes']} processes, after "
        f"{report['precompute_seconds']:.2f} s of opening\n"
        f"  plain  {report['plain_seconds_per_coalition']:.3f} s a coalition "
        f"({report['plain_cpu_seconds_per_coalition']:.3f} s of processor time)\n"
        f"  ratio  {report['ratio']:,.1f} (of processor time {report['cpu_ratio']:,.1f})\n"
        f"  memory {report['peak_rss_bytes'] / MEBIBYTE:,.0f} MiB at most in a process\n"
        f"  BLAS   kernels: {report['kernels']}\n"
        f"  counts of {report['compared']} coalitions compared: {report['coalitions_off']} differ, "
        f"by at most {report['most_images_off']}"
    )


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=list(CASES), help="one case; without it, all")
    parser.add_argument("--dataset", type=Path, help="an mnist.npz; without it, the digits")
    parser.add_argument(
        "--all", action="store_true", help="evaluate and compare all coalitions in every case"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each case")
    parser.add_argument(
        "--keep-kernels", action="store_true", help="let workers use OPENBLAS_CORETYPE"
    )
    parser.add_argument("--gpu", action="store_true", help="evaluate on a GPU; skipped without one")
    options = parser.parse_args()
    if options.gpu:
        os.environ[GPU_VARIABLE] = "1"
        if find_gpu() is None:
            print("skipped: TensorFlow finds no GPU on this machine", file=sys.stderr)
            return
    if options.keep_kernels:
        os.environ[KEEP_KERNELS_VARIABLE] = "1"
    if options.dataset and not options.dataset.is_file():
        parser.error(f"there is no file {options.dataset}")
    for name in [options.case] if options.case else CASES:
        case = CASES[name]
        if options.all and case.clients <= MAX_CLIENTS:
            count = (1 << case.clients) - 1
            case = replace(case, coalitions=_all_coalitions, compared=count, repeats=1)
        with tempfile.TemporaryDirectory() as folder:
            report = asyncio.run(_measure(name, case, options.dataset, Path(folder)))
        print(json.dumps(report)) if options.json else _show(report)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
