"""The API: what people, tools and the lightweight roles ask a node.

This part decides how the chain is shown and nothing about it. In the order in which a call
meets it:

1. ``api_server`` opens the two listeners, TCP for everybody and a Unix socket for the
   operator, each with reflection, health and the chain of ``fedcoin.network.interceptors``;
2. ``requests`` turns what people write (bech32m, hex, page tokens) into bytes, or refuses it
   by the name of its field;
3. ``node_service``, ``task_service``, ``transaction_service`` and ``admin_service`` answer
   from the last final block, through the ports of ``fedcoin.network.ports``; ``following``
   is how their streams keep up with the chain without a queue for each watcher;
4. ``client`` is the other end: ``NodeClient`` and ``AdminClient``, whose errors are
   ``RpcFailure``;
5. ``proof_file`` turns answers into a file that proves a payment to who has the genesis alone.

It does not know how a block comes about, what makes a transaction valid, or who the peers
are: the ports say. It never changes the chain; all that it takes in are transactions, for
the pool, and artifacts, for the store.
"""
