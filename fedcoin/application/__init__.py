"""The program: it puts the parts together and holds no rules of its own.

What a network is, what is valid and who is paid is decided in the layers below. This one decides
where things live (:mod:`~fedcoin.application.configuration.home`), what was asked for
(:mod:`~fedcoin.application.configuration.config`), which parts run in one process
(:mod:`~fedcoin.application.node.node`), and what a person sees (:mod:`~fedcoin.application.cli`).

In the order in which a node starts: the home is opened and locked, its settings are read, the
chain is loaded and checked against the genesis, the listeners come up, and only then are peers
dialled, the miner's worker started, the coordinator's campaign taken up. It stops in reverse.

TensorFlow runs in processes of its own: the miner's worker, the coordinator's, the trainer's.
Nothing here imports it.
"""
