"""What several commands need: options, output, the call of a node, and running until stopped.

Nothing here is a command, and nothing here knows one.

* `options`, `settings_options`, `passphrases`: options, and where their values come from.
* `output`, `ledger_output`: results on standard output; `progress`, `waiting`: on standard error.
* `api_token`: the token for a node's API.
* `connect`, `signed_action`: find and call a node; sign and submit a transaction, or prepare one:
  `policy_options`.
* `id_prefixes`: ids that are given by their first digits.
* `watched`: shows something again and again.
* `service`: runs a program until it is stopped; `log_output`: its log; `exit_codes`: its end.
"""
