"""Verification: check a chain, evidence and payments without trusting the node that keeps them.

This folder decides whether a database holds what its own blocks lead to, whether revealed
utilities can be computed again, and whether a payment proof holds for a genesis. It does not
know the rules: it executes blocks with `contract` and checks votes with `consensus`.

* `replay`: execute every block of a database again, from genesis or a snapshot
* `past_state`: compute the state after an earlier block
* `database_check`: compare the tables that follow from blocks, and this node's own votes
* `reveal_check`: evaluate the challenged coalitions again
* `missing_artifacts`: fetch what that needs from a node
* `payment_proof`: check one proof that a node gave
* `proof_file`: write and check payment proofs as JSON files
* `campaign_record`: write and check files that hold a whole campaign
* `campaign_reader`: find what belongs to a campaign in blocks, and sum it up
* `proof_parts`: what both kinds of files have in common
* `strict_json`: read such a file, and refuse what its format does not have
"""
