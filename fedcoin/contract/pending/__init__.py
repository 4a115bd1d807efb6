"""Transactions that wait for a block.

Decides which transactions wait, in which order a proposer takes them, and which make room when
there are too many. It does not decide whether a transaction may be applied (the ledger does), and
no other node can check its order.

* `mempool`: the waiting transactions, and what happens to them after a block;
* `sender_queue`: those of one sender, by nonce, and what they pay per byte;
* `eviction`: which of them make room; `reserved_steps`: for which there is always room.
"""
