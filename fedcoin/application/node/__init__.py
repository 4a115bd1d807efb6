"""The node: chain, consensus driver, transaction intake and services in one process.

This folder decides how the parts of a node are connected, started and stopped, and carries out what
the pure layers ask for: it stores, signs, sends and keeps time. It holds no rules of its own.

* `node`: all parts of a node, started in order; `node_runner`: runs it until it should stop
* `chain`: store and ledger, which move together
* `transaction_intake`: admission, audit and relay of transactions
* `mempool_file`: the waiting transactions on disk, for the next start
* `consensus_driver`: drives the voting engine; `voting`: signs votes, and stores them first;
  `voting_threads`: threads for this that no caller can take
* `block_auditor`: what a validator checks before it votes; `left_out_updates`, `unpaid_downloads`:
  its checks of a client's task, and of tasks that are not in a block yet
* `disputed_transactions`: what a proposer leaves out after a round without agreement
* `snapshot_maker`: make snapshots, and start a chain from one
* `watching`: whether the node fails, votes, and reaches enough validators
* `metrics`: the node's numbers for Prometheus
* `node_facts`, `local_access`: what the API and the node's own wallet ask the node
* `components`, `process_age`: small parts of the node
"""
