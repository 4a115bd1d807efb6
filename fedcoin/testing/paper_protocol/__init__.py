"""Proof of Shapley as the paper prints it (arXiv:2002.11711, algorithms 1 to 3), for comparison.

The product does not use it, and nothing in the product imports it.

* `race`: miners broadcast their running mean and how often they iterated; a miner within D of the
  weighted mean of all broadcasts makes the block; a verifier compares two distances;
* `broadcast_strategies`: what dishonest miners broadcast, which these rules do not detect.
"""
