"""What a client's update was worth, how a miner proves it, and who is paid how much.

The layer is pure arithmetic on integers and arrays: no clock, no disk, no network, no model. It
decides, in the order in which a task needs it:

1. ``sampling``: which coalitions a miner evaluates (``exact`` blocks or ``walks``), drawn from the
   task and the miner's key, so that nobody chooses or copies samples;
2. ``tree`` and ``evidence``: how the utilities become a Merkle-sum tree, what a miner commits to
   and what it later shows of it, and whether what another one shows holds together;
3. ``stopping``: when a miner's samples are enough for the task's difficulty D;
4. ``challenge``: which leaves a miner has to show, from salts that nobody can choose any more;
5. ``audit``: which coalitions a voter evaluates again, and how far it may differ;
6. ``payout``: how prices are split to the last sap.

``shapley`` estimates values for any game without a chain. ``rounding`` and ``streams`` are what
several of them share.

It does not know what a utility is (``learning`` counts right answers; here it is an integer from 0
to the evaluation set's size), how miners agree on one vector (``consensus.posap``), or which phase
a task is in (``contract``). Refusals carry an ``errors.EvidenceCode``.
"""
