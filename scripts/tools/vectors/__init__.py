"""Golden vectors by subject. Each function returns what one file of `tests/vectors` holds.

* `samples`: the keys and hashes that several subjects share
* `crypto`, `encodings`, `transactions`, `votes_and_blocks`, `proofs`, `artifacts`, `measures`: the
  subjects
"""
