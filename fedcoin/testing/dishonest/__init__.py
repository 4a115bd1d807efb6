"""Nodes that lie: test equipment, and nothing that an honest node ever runs.

What a liar does is decided here, apart from how it is run: the same strategies play against the
contract and the voting in a simulator, and as real nodes on a devnet. Whether lying pays is for
those who run them to measure; here nothing is refused, judged or counted.

1. `node_components` gives each kind of node its parts, and `__main__` runs one;
2. what miners claim: ``forgeries`` makes up what was not computed, ``strategies`` says of each kind
   what it computes, claims and shows, ``lying_miner`` is the node's miner with one strategy;
3. what proposers leave out or try: ``proposing``, and ``builders`` for a node's chain;
4. what validators say: ``equivocating_network`` sends two votes for one round;
5. what strangers bring: ``intruders`` visit a node's peers with old or foreign messages;
6. the kinds are listed in `application.devnet.dishonest_miners`, for devnets.

Nothing in the product imports this package; `devnet --adversary` runs it as a program.
"""
