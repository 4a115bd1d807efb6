"""Proof of Shapley: make, commit to, challenge and check one miner's samples of coalitions.

A miner evaluates coalitions in an order that the task and its own key determine, puts the counts
of right answers into a Merkle-sum tree, commits to the root and the totals, and later shows the
leaves that a random challenge names. The folder knows neither how a count is computed nor when a
phase of a task begins; it gets counts from its caller and returns vectors, evidence and refusals.

* `sampling_plan`: the coalitions of each leaf and the bounds of its sums, by schedule:
  `exact_layout` (EXACT) and `walk_layout` (PERMUTATION, ANTITHETIC), both after `layouts`;
  `hash_stream` draws their random numbers.
* `sum_tree` and `evidence`: the tree, the commitment, evidence and its verification, with the
  checks that need no hash in `evidence_checks`; `few_leaves` verifies small evidence without
  arrays.
* `challenge`: which leaves a miner shows.
* `audit`: which coalitions a validator recomputes before it votes, and how it compares counts.
* `stopping`: when a miner has enough samples for the task's difficulty.
"""
