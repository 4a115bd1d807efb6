"""Shapley tasks: their phases from opening to settlement, and who is paid when they settle.

Decides when a phase ends, what happens then, and where the coins of a round go. It does not decide
which transactions may act on a task (`actions`), nor which vector is agreed (`consensus.posap`).

* `lifecycle`: the phases; `window_turns`, `early_end`: when a window ends;
* `frozen_power`: the power that miners have in a task;
* `task_pricing`: what a task costs the network, and its deposit;
* `task_room`, `room_rent`: the limit on open tasks, and what a task pays while it is reached;
* `registered_receipts`: what receipts oblige a campaign to;
* `settlement`: payments, deposits, and the end of campaigns after their last round; `mining_price`:
  each miner's part; `closing`: the end of campaigns by time;
* `loaded_task`: an open task with its records.
"""
