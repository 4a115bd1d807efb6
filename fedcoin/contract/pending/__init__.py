"""Transactions that wait for a block.

Decides which transactions wait, in which order a proposer takes them, and which make room when
there are too many. It does not decide whether a transaction may be applied (the ledger does), and
no other node can check its order.

* `mempool`: the waiting transactions, and what happens to them after a block;
* `mempool_usage`: the limits, and how much of them is used;
* `sender_queue`: the transactions of one sender, by nonce, and what they pay per byte;
* `quick_checks`: transfers that surely apply; `rechecks`: what a block may affect;
* `block_order`: the order in which a proposer takes them;
* `fee_ranking`, `fee_estimates`: transactions by fee, and the fee for the next block;
* `eviction`: which of them make room; `reserved_steps`: for which there is always room;
* `refusals`: the errors of the mempool's own rules.
"""
