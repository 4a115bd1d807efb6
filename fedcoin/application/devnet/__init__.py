"""Run a whole network on one machine: miners, a coordinator and clients, each a real process.

A devnet decides who takes part, and checks the nodes' final states against each other. Each node is
the same program that an operator runs. The devnet learns everything that it reports from the nodes'
APIs; it knows only which client is honest and which miner is not.

* `plan`: who takes part, and within which limits;
* `home_folders`: a genesis, a home for each process with its key and ports, and the clients' data;
* `child_processes`: starts the processes, keeps their logs, and stops all of them in any case;
* `observer`: follows the rounds through the miners' APIs, and collects the results;
* `devnet_runner`: all of this in order;
* `standing_network`: what other programs need of a devnet that stays up;
* `results`, `terminal_tables`, `html_report` and `report_plots`: the results, and how they are
  shown;
* `dishonest_miners`: the kinds of dishonest miners, which `fedcoin.testing` implements;
* `free_ports`: ports for the processes.
"""
