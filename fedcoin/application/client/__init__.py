"""The federated-learning client: it trains on its own data for a coordinator and is paid.

This folder decides when a client trains, what it uploads and signs, and how it comes back after a
lost connection. It does not know how a model is trained (`learning.training`) or how a round is
paid (the coordinator and the chain).

* `trainer`: one client of one coordinator. `local_training`: its work in a round, by the built-in
  trainer or by a program of the client's (`own_program`, `program_process`).
* `fetched_model`: the campaign's model, and its frozen weights on disk.
* `handing_in`: how an update is handed in, and a smaller one where it is refused as harmful.
* `protection_check`: whether only one side speaks TLS.
* `round_payments`: what becomes of its updates.
* `privacy_ledger`: what training with differential privacy has spent, on disk.
  `program_privacy`: what a program says of its own.
* `client_host`: many clients in one process, which share a few training processes.
* `receipt_folder`: the receipts of a client's updates, on disk.
* `receipt_claims`: what a client does with them when the coordinator opens no task;
  `usable_updates`: the updates for the task that it opens itself.
* `left_out_guard`: what a client does when the coordinator's task lacks its update.
"""
