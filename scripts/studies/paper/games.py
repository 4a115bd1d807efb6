"""Count right answers of a network's clients, alone and in coalitions, by the paper's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from scripts.studies.paper.networks import Client, Network

Floats = npt.NDArray[np.float64]


def build_table(network: Network, clients: Sequence[Client], num_examples: int) -> Floats:
    """Evaluate every coalition of a few clients.

    A coalition's model is the mean of its members' weights, and the empty coalition is worth 0.

    Args:
        network: The network that they belong to.
        clients: Up to 12 clients.
        num_examples: The size of the evaluation set.

    Returns:
        The accuracy of each coalition, float64 (2^n,), by bit mask.
    """
    n = len(clients)
    rows = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    # Neighbours in this order differ by few members, which evaluators are fastest with.
    counts = asyncio.run(_evaluate(network, clients, rows.astype(np.bool_)))
    return counts / num_examples


def measure_accuracies(network: Network, num_examples: int) -> Floats:
    """Evaluate each client's own model.

    Args:
        network: A devnet that has ended.
        num_examples: The size of the evaluation set.

    Returns:
        The accuracy of each of the n clients' models, 0 to 1, float64 (n,).
    """
    rows = np.eye(len(network.clients), dtype=np.bool_)
    return asyncio.run(_evaluate(network, network.clients, rows)) / num_examples


async def _evaluate(
    network: Network, clients: Sequence[Client], rows: npt.NDArray[np.bool_]
) -> Floats:
    job = UtilityJob(
        job_id=b"paper study game",
        model=network.model,
        base=network.base,
        updates=tuple(client.update for client in clients),
        num_samples=tuple(client.samples for client in clients),
        evaluation=network.evaluation,
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_ZERO,
    )
    pool = WorkerPool()
    try:
        await pool.open_job(job)
        counts: Floats = (await pool.evaluate(job.job_id, rows)).astype(np.float64)
    finally:
        await pool.stop()
    return counts


def exact_values(table: Floats) -> Floats:
    """Compute Shapley values from all coalitions, along all orders weighted by size.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask.

    Returns:
        The values, float64 (n,).
    """
    n = int(np.log2(len(table)))
    masks = np.arange(len(table))
    sizes = np.array([int(mask).bit_count() for mask in masks])
    # k! (n - 1 - k)! / n!, the weight of a coalition of k others.
    weights = [1 / n]
    for size in range(1, n):
        weights.append(weights[-1] * size / (n - size))
    by_size = np.array([*weights, 0.0])
    values = np.empty(n)
    for client in range(n):
        bit = 1 << client
        others = masks[masks & bit == 0]
        values[client] = by_size[sizes[others]] @ (table[others | bit] - table[others])
    return values
