"""A whole network on one machine: miners, a coordinator and clients, each a real process.

It decides who takes part and checks what came of it; all that happens in between is the program
itself, run as a person would run it. In order:

1. :mod:`~fedcoin.application.devnet.plan` lays out a folder: a genesis, a home for each process
   with its key and its ports, and each client's share of the data;
2. :mod:`~fedcoin.application.devnet.processes` starts ``fedcoin-node`` in each home, keeps their
   logs, notices who ends too early, and ends them all whatever happens;
3. :mod:`~fedcoin.application.devnet.observe` follows the rounds through the miners' APIs and, at
   the end, asks every node what it holds;
4. :mod:`~fedcoin.application.devnet.result` is what came of it, and
   :mod:`~fedcoin.application.devnet.table` and :mod:`fedcoin.application.devnet.report` show it.

It knows nothing that the nodes do not tell, but for which client is honest.
"""
