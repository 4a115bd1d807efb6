"""Proof of Shapley: a miner's samples, the evidence for its vector, and its checks."""
