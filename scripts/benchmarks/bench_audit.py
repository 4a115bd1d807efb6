"""Measure the cost of auditing a reveal, next to the cost of mining it.

The cases are ten clients under EXACT and a hundred under ANTITHETIC: a 784-128-10 network on
MNIST's 10,000 test images (the file that FEDCOIN_MNIST names, or `--mnist`; without it the digits
that ship with the package). The auditor is a worker process of one thread with an empty memo; most
voters have mined the same task and find many coalitions in their memo. Prints a table with each
limit, and exits with 1 when one is missed. `--json` prints the numbers.

Under EXACT all reveals concern the same coalitions: the second audit evaluates only those that the
first left out, and all audits together cost no more than mining once. Under walks each miner has
its own coalitions, and the share of an audit in mining depends on the number of leaves alone: 44 of
N, for any number of clients. The table says from which N on it is under 1 %.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_claims
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, verify_evidence
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.stopping import compute_standard_error_nano
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.training import datasets, partitions
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.testing.measurements.audit_share import compute_audit_percent, find_min_samples
from fedcoin.v1 import artifact_pb2, task_pb2

LIMITS = {
    "K = 10: audit by who mined the task, seconds": 1.0,
    "K = 10: audit, CPU seconds (10,000 images)": 1.0,
    "K = 100: audit, % of mining": 1.0,
}
"""The largest value of each number: CPU seconds of the one thread that works (its time on a core of
its own), or percent."""
LEAVES = 44
"""The default of the parameter `challenge_leaves`."""

TOLERANCE = 2
"""The default of the parameter `utility_tolerance`, in units of the utility."""

DIFFICULTY = 20_000_000
"""D, in nano-utility."""

FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
"""Keras' configuration of a layer whose numbers are float32."""

CHALLENGE = hashlib.sha256(b"challenge").digest()
"""What the challenged leaves are drawn from."""

HIDDEN = 128
"""The number of units of the network's hidden layer."""

REQUEST_ROWS = 2_048
"""The number of coalitions in one request of the miner."""

MORE_REVEALS = 4
"""The number of other miners' reveals that are audited after the first."""

Weights = dict[str, NDArray[Any]]
"""The arrays of one network by name."""


def _spec_of(shape: tuple[int, ...], classes: int) -> artifact_pb2.ModelSpec:
    """Write Keras' architecture of Flatten, 128 units with relu, softmax, without Keras."""

    def layer(kind: str, **config: Any) -> dict[str, Any]:
        config = {"name": kind.lower(), "trainable": True, "dtype": FLOAT32, **config}
        return {
            "module": "keras.layers",
            "class_name": kind,
            "config": config,
            "registered_name": None,
        }

    layers = [
        layer("InputLayer", batch_shape=[None, *shape], dtype="float32"),
        layer("Flatten", data_format="channels_last"),
        layer("Dense", units=HIDDEN, activation="relu", use_bias=True, name="hidden"),
        layer("Dense", units=classes, activation="softmax", use_bias=True, name="out"),
    ]
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "bench", "trainable": True, "dtype": FLOAT32, "layers": layers},
        "registered_name": None,
    }
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(model), input_shape=shape, num_classes=classes
    )
    pixels = int(np.prod(shape))
    for name, size in (
        ("w1", (pixels, HIDDEN)),
        ("b1", (HIDDEN,)),
        ("w2", (HIDDEN, classes)),
        ("b2", (classes,)),
    ):
        spec.weights.add(name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=size)
    return spec


def _trained(
    base: Weights, x: NDArray[np.float32], y: NDArray[np.int64], rate: float = 0.1
) -> Weights:
    """Train for one epoch of plain SGD in batches of 32."""
    w = {name: value.copy() for name, value in base.items()}
    for start in range(0, len(x), 32):
        a, labels = x[start : start + 32], y[start : start + 32]
        h = np.maximum(a @ w["w1"] + w["b1"], 0)
        z = h @ w["w2"] + w["b2"]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(p)), labels] -= 1
        p /= len(p)
        back = (p @ w["w2"].T) * (h > 0)
        for name, gradient in (
            ("w2", h.T @ p),
            ("b2", p.sum(axis=0)),
            ("w1", a.T @ back),
            ("b1", back.sum(axis=0)),
        ):
            w[name] -= rate * gradient
    return {name: value.astype(np.float32) for name, value in w.items()}


@dataclass(frozen=True)
class _Bench:
    """A folder with the artifacts of one training round."""

    folder: Path
    dataset: datasets.Dataset

    def job(self, clients: int) -> UtilityJob:
        """Make a job of a number of clients, each with its own share of the training data."""
        data, rng = self.dataset, np.random.default_rng(1)
        pixels = int(np.prod(data.input_shape))
        base: Weights = {
            "w1": rng.standard_normal((pixels, HIDDEN)) * pixels**-0.5,
            "b1": np.zeros(HIDDEN),
            "w2": rng.standard_normal((HIDDEN, data.num_classes)) * HIDDEN**-0.5,
            "b2": np.zeros(data.num_classes),
        }
        updates, counts = [], []
        for index in range(clients):
            part = partitions.take_share(data, clients, index, 1)
            if index % 5 == 4:
                part = datasets.mislabel(part, 0.4, index)
            x = part.x_train.reshape(len(part.x_train), pixels)
            updates.append(self._put(f"update-{index}", _trained(base, x, part.y_train)))
            counts.append(len(x))
        single = {name: value.astype(np.float32) for name, value in base.items()}
        tensors: Weights = {"x": data.x_test, "y": data.y_test}
        spec = self.folder / "spec"
        spec.write_bytes(
            _spec_of(data.input_shape, data.num_classes).SerializeToString(deterministic=True)
        )
        return UtilityJob(
            job_id=hashlib.sha256(b"job %d" % clients).digest(),
            model=spec,
            base=self._put("base", single),
            updates=tuple(updates),
            num_samples=tuple(counts),
            evaluation=self._put("evaluation", tensors),
            averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR,
            empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        )

    def _put(self, name: str, tensors: Weights) -> Path:
        path = self.folder / name
        path.write_bytes(encode_tensors(tensors))
        return path


def _cpu_seconds(worker: WorkerPool) -> float:
    """Read the processor time of the worker's processes so far (Linux)."""
    ticks = 0
    for pid in worker.pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def _mine(
    worker: WorkerPool, job: UtilityJob, plan: SamplingPlan, samples: int
) -> tuple[EvidenceTree, Ints]:
    """Evaluate a number of leaves; give the tree over them and their vectors."""
    n = plan.clients
    ends = await worker.evaluate(job.job_id, np.array([[True] * n, [False] * n]))
    grand, empty = (int(count) for count in ends)
    step = max(1, REQUEST_ROWS // plan.leaf_length)
    rows = []
    for start in range(0, samples, step):
        leaves = range(start, min(start + step, samples))
        asked = np.concatenate([plan.coalitions(leaf) for leaf in leaves])
        counts = await worker.evaluate(job.job_id, asked)
        rows.append(counts.reshape(len(leaves), plan.leaf_length))
    utilities = plan.fill_implied(range(samples), np.concatenate(rows), grand, empty)
    vectors = plan.contributions(range(samples), utilities, grand, empty)
    return build_evidence_tree(plan, utilities, grand, empty), vectors


async def _measure(job: UtilityJob, plan: SamplingPlan, samples: int) -> dict[str, float]:
    """Mine a number of leaves, then audit the challenged ones in a process with an empty memo."""
    worker, auditor = WorkerPool(), WorkerPool()
    await worker.start()
    started = time.monotonic()
    await worker.open_job(job)
    tree, vectors = await _mine(worker, job, plan, samples)
    mining = time.monotonic() - started
    mining_cpu = _cpu_seconds(worker)
    evidence = tree.prove(draw_challenged_leaves(CHALLENGE, plan.public_key, samples, LEAVES))
    claims = list_claims(evidence, plan)
    coalitions = claims.coalitions
    started = time.monotonic()
    await worker.evaluate(job.job_id, coalitions)
    remembered = time.monotonic() - started
    await worker.stop()
    await auditor.start()
    before = _cpu_seconds(auditor)
    started = time.monotonic()
    verify_evidence(evidence, plan, CHALLENGE, LEAVES)
    verifying = time.monotonic() - started
    await auditor.open_job(job)
    opening = time.monotonic() - started - verifying
    opened = _cpu_seconds(auditor)
    counts = await auditor.evaluate(job.job_id, coalitions)
    compare_counts(claims, counts, compute_tolerance(plan.evaluation_size, TOLERANCE))
    audit = time.monotonic() - started
    used = _cpu_seconds(auditor)
    more = await _audit_more(auditor, job, plan, tree) if plan.fixed_samples else {}
    await auditor.stop()
    error = compute_standard_error_nano(plan, vectors)
    return {
        "mining, seconds": mining,
        "mining, CPU seconds": mining_cpu,
        "coalitions mined": plan.evaluations(samples),
        "standard error": error / 1e9,
        "reveal, bytes": evidence.ByteSize(),
        "verify evidence, seconds": verifying,
        "open job, seconds (once a task)": opening,
        "open job, CPU seconds (once a task)": opened - before,
        "audit by who mined the task, seconds": remembered,
        "audit, seconds": audit,
        "audit, CPU seconds": used - opened,
        "coalitions audited": len(coalitions),
        "audit, % of mining": 100 * len(coalitions) / plan.evaluations(samples),
        **more,
        **(_compare_walks(plan, samples, error) if plan.fixed_samples is None else {}),
    }


def _compare_walks(plan: SamplingPlan, samples: int, error_nano: float) -> dict[str, float]:
    """Compute how many walks D = 0.02 needs, and the share of auditing them in mining them."""
    needed = samples * (3 * error_nano / DIFFICULTY) ** 2
    return {
        "leaves that D = 0.02 takes": needed,
        "audit, % of mining for those": compute_audit_percent(plan, max(1, round(needed)), LEAVES),
        "leaves from which it is under 1 %": find_min_samples(plan, 1.0, LEAVES),
    }


async def _audit_more(
    auditor: WorkerPool, job: UtilityJob, plan: SamplingPlan, tree: EvidenceTree
) -> dict[str, float]:
    """Audit the reveals of other miners: the same coalitions, other leaves."""
    before = _cpu_seconds(auditor)
    for number in range(MORE_REVEALS):
        other = replace(plan, public_key=hashlib.sha256(b"miner %d" % number).digest())
        due = draw_challenged_leaves(CHALLENGE, other.public_key, tree.samples, LEAVES)
        evidence = tree.prove(due)
        verify_evidence(evidence, other, CHALLENGE, LEAVES)
        claims = list_claims(evidence, other)
        counts = await auditor.evaluate(job.job_id, claims.coalitions)
        compare_counts(claims, counts, compute_tolerance(plan.evaluation_size, TOLERANCE))
    used = _cpu_seconds(auditor) - before
    return {f"audit of {MORE_REVEALS} more reveals, CPU seconds": used}


def _plan_for(clients: int, size: int, samples: int) -> SamplingPlan:
    """Plan EXACT for 0 samples, else ANTITHETIC with at most this many leaves."""
    schedule = task_pb2.SCHEDULE_ANTITHETIC if samples else task_pb2.SCHEDULE_EXACT
    return SamplingPlan(schedule, clients, size, 0, samples, bytes(32), bytes(range(32)))


async def _run(dataset: datasets.Dataset, walks: int) -> dict[str, float]:
    """Measure all cases."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench, size = _Bench(Path(folder), dataset), len(dataset.y_test)
        exact = _plan_for(10, size, 0)
        for clients, plan, samples in (
            (10, exact, exact.fixed_samples or 0),
            *([(100, _plan_for(100, size, walks), walks)] if walks else []),
        ):
            measured = await _measure(bench.job(clients), plan, samples)
            found |= {f"K = {clients}: {name}": value for name, value in measured.items()}
    used = found.pop("K = 10: audit, CPU seconds")
    found[f"K = 10: audit, CPU seconds ({size:,} images)"] = used
    return found


def main() -> int:
    """Measure, print, and compare with the limits.

    Returns:
        The exit status: 1 when a limit is missed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", default=os.environ.get("FEDCOIN_MNIST") or "digits")
    parser.add_argument("--walks", type=int, default=5_000, help="leaves mined at K = 100; 0: none")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = asyncio.run(_run(datasets.load_dataset(options.mnist, scale=255), options.walks))
    missed = [name for name, limit in LIMITS.items() if found.get(name, 0) > limit]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            limit = f"  (at most {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:<45}{value:>16,.4f}{limit}")
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
