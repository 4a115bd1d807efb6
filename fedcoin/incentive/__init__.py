"""Decide which coalitions a miner evaluates, what proves the result, and what each party is paid.

This layer is arithmetic on integers and arrays; it reads no clock, disk, network or model. A
utility is an integer here, such as the number of right answers on the evaluation set:
`fedcoin.learning` computes it. How miners agree on one vector of Shapley values is decided by
`fedcoin.consensus.posap`, and which phase a task is in by `fedcoin.contract`.

* `proof`: sampling, the Merkle-sum tree over all samples, challenge, evidence and audit.
* `payout`: what a round pays, how the training price is split, and a miner's deposit.
* `training_reward`: the two rules by which clients are paid; `equal_updates`: one value for equal
  updates.
* `rounding`: rounding by largest remainder; `draw_scores`: a draw weighted by power.
* `errors`: the codes of this layer's refusals.
"""
