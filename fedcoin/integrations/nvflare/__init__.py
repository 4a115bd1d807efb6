"""Value the clients of an NVFlare federation (nvflare 2.9), and keep what a paid task needs.

This folder decides which clients' models of a round count, what a coalition's model is, and which
files a round leaves. It does not know how clients train or which workflow asks for the average.

* `valued_aggregator`: the aggregator for `FedAvg` or `ScatterAndGather`.
* `round_folder`: the files of a round for `fedcoin-node task publish`.

docs/NVFLARE.md is the manual.
"""

from __future__ import annotations

from fedcoin.integrations.nvflare.valued_aggregator import ValuedAggregator

__all__ = ["ValuedAggregator"]
