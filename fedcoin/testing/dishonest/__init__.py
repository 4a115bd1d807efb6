"""Nodes that lie: test equipment, and nothing that an honest node ever runs.

What a liar does is decided here, apart from how it is run: the same strategies play against the
contract and the voting in a simulator, and as real nodes on a devnet. Whether lying pays is for
those who run them to measure; here nothing is refused, judged or counted.

1. ``kinds`` names every kind of liar, in one table;
2. what miners claim: ``forgeries`` makes up what was not computed, ``strategies`` says of each kind
   what it computes, claims and shows, ``lying_miner`` is the node's miner with one strategy;
3. what proposers leave out or try: ``proposing``, and ``builders`` for a node's chain;
4. what validators say: ``two_tongues`` sends two votes for one round;
5. what strangers bring: ``intruders`` visit a node's peers with old or foreign messages;
6. ``conducts`` gives each kind its parts, in place of those of ``application.conduct``.

Nothing imports this package unless a node is told to lie by ``miner.adversary``, which no sample
configuration shows and which a devnet alone sets.
"""
