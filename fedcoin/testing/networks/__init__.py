"""Test networks as data: a file says what happens to a network of real processes.

`python -m fedcoin.testing.networks FILE...` runs each, and checks afterwards what all honest nodes
answer through their public API.

* `network_plan`: what a file can say; `plan_parsing`: reads one, entry by entry with
  `plan_fields`;
* `random_networks`: draws networks from seeds, and writes them as files;
* `network_homes`: keys, genesis and homes; `running_nodes`: the processes;
  `shifted_clock` is a node whose wall clock jumps;
* `link_relays`: what passes between nodes; `fault_injection`: carries out the faults;
* `transfer_load`, `published_tasks`: what the network has to do meanwhile;
* `node_answers`: what nodes say afterwards; `network_checks`: what must hold for it;
  `log_alarms`: what no log may hold;
* `network_run`: all of this in order.
"""
