"""A network of consensus engines in one process, by seed: virtual time, no threads, no sockets.

`scenario` draws from a seed everything that will go wrong: delays, loss, copies, partitions,
crashes, powers, and what the faulty validators do. `network` carries packets through it.
`node` drives one engine just as a real node does, with a disk that survives its crashes;
`adversaries` are nodes that do not keep to the protocol. `world` runs them all on one
queue of events and says whether any two final blocks stood at one height, whether a correct
validator ever contradicted itself, and whether the chain went on once messages flowed.

What stands in a block is handed in as an `application`, one for each node: the plain one here
makes opaque blocks, and the real ledger can stand in its place.

A run depends on its scenario alone, so the number of a seed is all that is needed to see a
failure again::

    from fedcoin.testing.consensus_simulation.scenario import draw_scenario
    from fedcoin.testing.consensus_simulation.simulator import simulate

    print(simulate(draw_scenario(4711)))
"""
