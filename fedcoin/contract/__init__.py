"""The ledger: what blocks mean, as a deterministic function of the state and the block.

This layer decides which transactions and blocks are valid, how they change the state, and who is
paid. It computes with integers alone. It conserves coins: after every block, balances, bonds,
escrows, deposits and burned coins add up to the supply that genesis fixed; otherwise the block is
not executed. A block with one refused transaction is invalid, so there are no failed transactions.

It does not know the time, the disk, the network, TensorFlow, or how many nodes there are. Whether
a task's artifacts exist and a revealed utility is true is checked by validators before they vote;
here the result of a vote is taken as it is. Refusals have a code of `LedgerCode`, or of the layer
below that found the fault.

A block is executed in three steps. At its beginning, bonds whose unbonding period is over return,
and one task is settled. Then each transaction is admitted (`admission`) and carried out
(`actions`). At its end, windows of tasks close, and the proposer gets the fees.

* `state/`: records, overlays, the Merkle tree over the state, the execution context.
* `actions/`: what each transaction does; `admission`, `amount_checks`: what all of them must meet.
* `tasks/`: the life of a task, and its settlement.
* `blocks/`: executing, building and validating blocks; the validators of each height.
* `pending/`: the mempool, the transactions that wait for a block.
* `snapshots/`: the state in parts that a new node can verify.
* `queries/`, `views`: read access for services.
"""
