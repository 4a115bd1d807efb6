"""Storage: what a node keeps on disk beside its artifacts and keys.

Decides how the chain, the ledger's state, indexes and the validator's own votes are written to
one SQLite file so that no crash separates them, and what a snapshot file looks like. It stores
bytes and checks that blocks follow one another; whether a block is valid, and what the entries of
the state mean, is decided by the contract layer.

* `database`: opens, checks and writes an SQLite file; `schema`: its tables and migrations;
  `checkpoints`: keeps its log short while others write.
* `chain_store`: the facade that the node uses; `block_reader`: its part that reads blocks.
* `block_index`: finds transactions, tasks and payments by hash, id and address.
* `block_tables`, `state_table`: rows of blocks, receipts and the state.
* `vote_log`: the validator's own signed votes; `vote_mark`: their high-water mark, beside the key;
  `unused_key`: the note of a key that has signed none.
* `trusted_headers`: headers below a snapshot; `state_view`: a read-only view of the state.
* `snapshot_files`: snapshots as files, and the folder that holds them.
"""
