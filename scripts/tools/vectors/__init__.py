"""Golden vectors by subject. Each function returns what one file of `tests/vectors` holds.

* `samples`: the keys and hashes that several subjects share
* `crypto`, `transactions`, `votes_and_blocks`, `artifacts`: the subjects
"""
