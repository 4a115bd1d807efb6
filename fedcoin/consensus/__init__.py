"""Consensus: which block is final, who proposes, and which Shapley values are agreed.

Two things are decided here, both by pure computation. `posap` (Proof of Shapley) computes the
agreed vector, the inliers and the winner from what the miners revealed about a task, and adjusts
the difficulty. `tendermint_engine` decides one block for each height among the bonded validators:
the Tendermint algorithm as a state machine that takes messages and expired timers in and returns
effects.

This layer does not know the time, the disk, the network, secret keys, or what a block contains.
Signatures are verified before a message gets here, and the driver is asked whether a block is
valid. A message that breaks a rule raises `RefusalError` with a code of `ConsensusCode`.

For each height the driver (`application.node.consensus_driver`) takes the validators and the
proposers from the ledger and makes a `TendermintEngine`. Messages may arrive before it starts. It
asks for blocks to be built and checked, votes to be signed and timers to be started, and finally
returns the decided block with its certificate.

* `engine`, `effects`: the interface of an engine, and what it asks of its driver.
* `tendermint_engine`: the engine; it combines `height_vote_set` and `vote_set` (messages),
  `signing_state` (own votes), `block_verdicts` (what the driver found about blocks),
  `round_state_machine` (the algorithm) and `timers`.
* `validators`, `validator_messages`: the validator set of a height, and its encoding.
* `proposer_order`: the proposer of each round; `certificates`: the precommits that make a
  block final; `lock_record`: what is stored with a precommit.
* `posap`: Proof of Shapley.
"""
