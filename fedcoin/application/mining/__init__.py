"""Mining: compute the Shapley values of open tasks, commit to them and reveal them.

This folder decides when a miner samples, commits and reveals, and keeps what it needs in between on
disk. It does not decide what a miner may claim: `contract` checks evidence, and `block_auditor`
recomputes challenged leaves.

* `miner`: one step for each phase of each open task; `task_progress`: how far it is with a task
* `task_choice`: which open tasks it works on, and which first; `declining`: says which it cannot
* `draining`: ends its work without losing what it has at stake
* `sampler`, `progress`: evaluate coalitions until there are enough samples; report the progress
* `work_store`: samples and salt of each commitment, on disk
* `task_evaluator`: a task's artifacts, and its job in the worker processes; `coalition_evaluator`:
  what it needs of these
* `claim_audit`, `rounding_spread`: recompute a miner's claims; how far honest ones may differ
* `campaign_quota`, `fetched_file`: how many bytes are fetched for a campaign, and what was fetched
* `executor`: where the worker processes run, by the settings
"""
