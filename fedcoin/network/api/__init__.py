"""The serving side of a node's API: what wallets, coordinators, tools and the operator call.

This folder decides how the chain is shown and which requests are refused as malformed. It does not
know how blocks come about, what makes a transaction valid or who the peers are: it asks the node
through `network.ports` and `backend`. It never changes the chain; it accepts transactions for the
mempool and artifacts for the store.

* `api_server` opens the two listeners: TCP for all callers, a Unix socket for the operator;
* `request_fields` turns text (bech32m, hex) into bytes; `paging` divides lists into pages;
* `node_servicer`, `task_servicer`, `transaction_servicer` and `admin_servicer` answer from the last
  final block, with `chain_watching` and `address_filter` for their streams, and `supply_count`;
* `backup_targets` decides where a copy of the database may be written;
* `permissions` says what each method asks of its caller; `api_tokens` keeps the API's tokens, and
  `token_guard` checks those of calls;
* `descriptors` describes all services in a file, for generators of other languages' stubs;
* `backend` lists what the servicers need from the node.

The calling side is `network.client`.
"""
