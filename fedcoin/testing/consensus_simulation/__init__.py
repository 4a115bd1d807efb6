"""A network of consensus engines in one process and in virtual time, without threads and sockets.

Everything that goes wrong is drawn from a seed: delays, loss, duplicates, partitions, crashes,
voting powers, and what faulty validators do. The simulation checks that no two final blocks have
one height, that no correct validator contradicts itself or is accused, and that the chain goes on
once messages arrive. Nodes that only import final blocks, during the run or after it, must accept
all of them. Each node has an application, by default a ledger without accounts.

* `scenario`: one run's faults, drawn from a seed;
* `packet_network`: virtual time, and packets that are delayed, lost and duplicated;
* `simulated_node`: drives one engine as a real node does, with a disk that survives crashes;
  `simulation_environment` is what it sees of the simulation;
* `importing_node`: a node that does not vote and imports final blocks;
* `byzantine_nodes`, `two_faced_node`: nodes that break the protocol;
* `block_application`: what a node agrees on; `local_facts`: what it sees otherwise than others;
* `simulator`: runs all nodes on one queue of events, and checks the result.

A run depends on its scenario alone. The number of a seed is all that is needed to repeat a failure:

    from fedcoin.testing.consensus_simulation.scenario import draw_scenario
    from fedcoin.testing.consensus_simulation.simulator import simulate

    print(simulate(draw_scenario(4711)))
"""
