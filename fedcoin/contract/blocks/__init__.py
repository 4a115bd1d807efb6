"""Blocks: validation, execution, and the validator set of each height.

This folder decides whether a block may follow the latest one and what it does to the state. It does
no I/O: the caller stores an execution's changes, and then tells the ledger to adopt it. It does not
know whether a task's artifacts are sound; voters check that elsewhere.

* `validation`: the checks of a block, from cheap to costly
* `ledger`: execute and build blocks on the latest state
* `execution`: what comes of executing or building a block
* `block_runs`: execute consecutive blocks before the first of them is stored
* `step_bytes`: the bytes that miners' steps leave of a block
* `transition`: what one block does: its beginning, its transactions, its end
* `validator_history`: the validator set of each height, from blocks or from certificates
"""
