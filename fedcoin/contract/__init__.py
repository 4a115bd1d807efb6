"""The ledger: what blocks mean, as a deterministic function of the state and the block.

A block is executed in three steps (`transition`): its beginning does what the one before made due
(bonds return, one task is settled); then its transactions are applied in
order, each admitted (`admission`) and handed to the rule of its action (`actions`); its end closes
the windows of tasks, and pays the fees. The life of a task is in `tasks`, where the money of a
round goes in `settlement`.

The state is a map from keys to bytes (`state`), read and written as records (`records`) through
the scope of a block (`scope`), and hashed as a whole (`state_tree`). `ledger` is the facade: it
executes and builds blocks without changing anything, and adopts what the store has committed.
`block_rules` says whether a block may follow the latest one. `pool` holds transactions that wait.
`queries` and `views` turn records and blocks into what people read; `validator_history` tells who
decided which height.

All of it is integer arithmetic, and coins are conserved: after every block balances, bonds,
escrows, deposits and burned coins add up to the supply that genesis fixed, or the block is not
executed at all. A block with one transaction that is refused is invalid; there are no receipts of
failures.

This layer does not know the time, the disk, the network, TensorFlow, or how many nodes there are.
Whether the artifacts of a task exist, and whether a revealed utility is true, is for voters to find
out before they vote; here a vote's result is taken as it is. Refusals carry `errors.LedgerCode`, or
the code of the layer below that found the fault.
"""
