"""The coordinator: the FL server that runs a campaign and has each of its rounds valued and paid.

Decides when a round begins and ends, whose updates it accepts, and which task it opens for them. It
does not decide what a valid task is or what anybody is paid (the ledger does), and does not compute
on weights itself (worker processes do).

* `campaign`, `campaign_file`: the campaign's state, in memory and on disk; `round_record`: the
  outcome of a round; `fixed_settings`: the settings that a campaign fixes.
* `coordinator`: the order of the steps. `gathering`: waiting for clients and their updates;
  `settlement`: the steps from the last update to the payment. `resumption`: what is checked after a
  restart. `campaign_end`: campaigns that were closed.
* `participation`, `clients_file`: which clients a round takes updates of, and the list of a file.
* `round_service`, `round_events`: what clients reach, and what they are told.
* `chain_messages`, `initial_artifacts`: from the settings to transactions, and to first artifacts.
* `runner`: the campaign of a home.
"""
