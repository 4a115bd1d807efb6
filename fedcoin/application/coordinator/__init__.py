"""The coordinator: the FL server that runs a campaign and has each of its rounds valued and paid.

Decides when a round begins and ends, whose updates it accepts, and which task it opens for them. It
does not decide what a valid task is or what anybody is paid (the ledger does), and does not compute
on weights itself (worker processes do).

* `campaign`, `campaign_file`: the campaign's state, in memory and on disk.
* `coordinator`: the order of the steps. `settlement`: those from the last update to the payment.
* `round_service`, `round_events`: what clients reach, and what they are told.
* `chain_messages`, `initial_artifacts`: from the settings to transactions, and to first artifacts.
* `runner`: the campaign of a home.
"""
