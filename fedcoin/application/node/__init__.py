"""The node: chain, consensus driver, transaction intake and services in one process.

This folder decides how the parts of a node are connected, started and stopped, and carries out what
the pure layers ask for: it stores, signs, sends and keeps time. It holds no rules of its own.

* `node`: all parts of a node, started in order
* `chain`: store and ledger, which move together
* `transaction_intake`: admission, audit and relay of transactions
* `consensus_driver`, `vote_signer`: drive the voting engine; sign votes and store them first
* `block_auditor`: what a validator checks before it votes
* `snapshot_maker`: make snapshots, and start a chain from one
* `local_access`, `validator_presence`, `components`, `process_age`: small parts of the node
"""
