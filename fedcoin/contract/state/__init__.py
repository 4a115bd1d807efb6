"""The ledger's state: its records, the hash over them, and the view that actions change.

Decides which records exist, under which keys they are stored, and how the whole state is hashed.
It does not decide when a record changes: that is done by `actions`, `tasks` and `blocks`.

* `records`: the tables and indexes of the state; `validators`: the validator sets in it;
  `standing_bonds`: the bonds behind them while a block is executed.
* `overlay`: reading the state, and collecting changes; `cached_state`: a memory of small entries;
  `execution_context`: what an action sees while a block is executed; `block_room`: what a block
  has room for beside its bytes.
* `state_tree`: the Merkle tree behind the app hash; `genesis_state`: the state before block 1;
  `coin_owners`: whose coins they are.
"""
