"""What a node deletes, and when.

It decides which artifacts are still needed, from the ledger's state and a coordinator's campaign,
and deletes the others after a time. Blocks it deletes only when the operator asks. It knows no
network; a node runs it, and commands call it.

* `artifact_retention`: which artifacts are needed, and the removal of idle ones
* `chain_pruning`: a database without the blocks up to a snapshot
"""
