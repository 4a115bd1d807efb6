"""Miners that lie: test equipment, and nothing that an honest node ever runs.

What a miner may do wrong is decided here, apart from how it is run: the same strategies play
against the contract and the voting in a simulator, and as real nodes on a devnet. Whether lying
pays is for those who run them to measure; here nothing is refused, judged or counted.

1. ``kinds`` names every kind of liar, in one table;
2. ``forgeries`` makes up what was not computed: utilities that add up to a vector, sums of subtrees
   that hide one, counts of samples that suit;
3. ``strategies`` says of each kind what it computes, what it claims, and what it shows;
4. ``lying_miner`` is the node's miner with one strategy in place of honest work.

Nothing imports this package unless a node is told to lie by ``mining.adversary``, which no sample
configuration shows and which a devnet alone sets.
"""
