"""Networks of up to hundreds of nodes on five continents, in one process and in virtual time.

Ledgers, databases, mempools, voting and gossip are the product's own code. Time is virtual: a
message takes as long as light and routers need between two cities, as a line of 100 Mbit/s needs
for its bytes, and, where a run says so, as a processor needs to handle it.

* `virtual_time`: an event loop that does not wait;
* `world_latencies`: delays between cities;
* `simulated_channels`: channels in place of gRPC, which count what they carry;
* `simulated_peers`: the nodes;
* `scale_run`: builds a network, loads it, and sums up.
"""
