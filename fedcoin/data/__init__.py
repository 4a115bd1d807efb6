"""Data: the bytes that are signed, hashed, sent and stored.

This layer turns bytes from strangers into checked values, and values into bytes that other nodes
accept. It checks all input in one order, the cheap checks first: size,
structure (one encoding of each message and no other), lengths of fields, chain id, signature.
Input that breaks a rule raises `RefusalError` with a code of `DataCode`.

It does not know what a balance, a task or a round is for: whether a well-formed and well-signed
transaction may be applied is decided by the contract layer. Nor does it know peers.

* `crypto/`: hashes, Ed25519 keys, key files, Merkle trees, addresses.
* `messages/`: canonical protobuf; transactions, updates, votes, blocks, receipts; genesis.
* `artifacts/`: models, weights and data sets, named by their content and kept in a folder.
* `storage/`: the chain, the state and the own votes in one SQLite file; snapshot files.
* `protocol`: the version of messages, blocks and rules.
* `failpoints`: points in every write, at which tests end the process.
* `private_files`: whether a file with a secret is for its owner alone.
* `clock`, `lru`, `field_checks`, `atomic_files`, `plurals`, `errors`: small things that all layers
  use.
"""
