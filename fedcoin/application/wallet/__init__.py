"""Wallets: sign transactions, and deliver each one to a node exactly once.

This folder decides nonce, fee and expiry of a transaction, and when one is signed again. It holds
no coins and no state of the chain: it asks a node.

* `transaction_drafts`: bodies of transactions, with the lowest fee;
* `transaction_submitter`: signs an action and submits it, to a node here or elsewhere;
* `wallet`: does so for a person or a program, and waits until the transaction is final;
* `reader_prover`: proves a key to a node that holds a private campaign's artifacts;
* `delivery`: gets an action onto the chain exactly once, across restarts;
* `key_policy_file`: the file of an account of several keys; `prepared_transaction`: a transaction
  that goes from one of its signers to the next; `shared_account`: prepares one, and waits for it.
"""
