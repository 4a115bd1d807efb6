"""Coefficients of the clients' models in the averaged model of each coalition.

Notation: `n` clients; client k trained on `s_k` examples and ended with the weights `w_k`; `w_0`
are the base weights from which all clients started; `S` is a coalition (a set of clients), `N` the
coalition of all clients, and `s(S)` the sum of `s_k` over its members. The averaged model of `S`
has the weights

    RENORMALISED         w(S) = sum over k in S of s_k / s(S) * w_k;   w_0 when S is empty
    FIXED_DENOMINATOR    w(S) = w_0 + sum over k in S of s_k / s(N) * (w_k - w_0)
    EQUAL                w(S) = w_0 + sum over k in S of 1 / n * (w_k - w_0)

RENORMALISED is federated averaging among the members of `S` (FedAvg, arXiv:1602.05629, Algorithm
1), as in the FedCoin paper (arXiv:2002.11711). Under the other two a client whose weights equal the
base changes no coalition's model. EQUAL is FIXED_DENOMINATOR with every `s_k` = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.job import Coalitions
from fedcoin.learning.model.aggregation import client_weights, sample_shares
from fedcoin.v1 import task_pb2

_FIXED = (task_pb2.AVERAGING_FIXED_DENOMINATOR, task_pb2.AVERAGING_EQUAL)


def coalition_coefficients(
    coalitions: Coalitions, num_samples: Sequence[int], averaging: int
) -> npt.NDArray[np.float64]:
    """Compute how much each client's weights and the base weights count in coalitions' models.

    Args:
        coalitions: Bool, shape (m, n). Row i is a coalition; column k says whether client k is in.
        num_samples: Training examples of each client, n numbers from 1 to `MAX_NUM_SAMPLES`.
        averaging: A value of the enum `Averaging` in task.proto (see the module's docstring).

    Returns:
        float64, shape (m, n + 1). Column k < n is client k's coefficient, column n that of the
        base weights. Each row sums to 1 up to rounding.

    Raises:
        RefusalError: BAD_COALITIONS when `coalitions` does not have n columns; NO_CLIENTS when
            `num_samples` is empty; BAD_SAMPLES when one of them is out of range.
        ValueError: `averaging` is none of the three.
    """
    sample_shares(num_samples)
    if coalitions.ndim != 2 or coalitions.shape[1] != len(num_samples):
        raise RefusalError(
            LearningCode.BAD_COALITIONS,
            f"coalitions has shape {coalitions.shape}, but there are {len(num_samples)} clients",
            field="coalitions",
            limit=f"(m, {len(num_samples)})",
        )
    samples = np.asarray(client_weights(num_samples, averaging), np.float64)
    members = coalitions * samples
    totals = members.sum(axis=1)
    if averaging == task_pb2.AVERAGING_RENORMALISED:
        denominator = np.where(totals > 0, totals, 1.0)
        base = (totals == 0).astype(np.float64)
    elif averaging in _FIXED:
        denominator = np.full_like(totals, samples.sum())
        # Sums of integers below 2^53 are exact, so the base counts exactly 0 when all are members.
        base = (samples.sum() - totals) / samples.sum()
    else:
        raise ValueError(f"unknown averaging {averaging}")
    return np.column_stack([members / denominator[:, None], base])
