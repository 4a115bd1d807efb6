"""The program: it puts the parts together and holds no rules of its own.

What a network is, what is valid and who is paid is decided in the layers below. This one decides
where files are, what was asked for, which parts run in one process, and what a person sees.

In the order in which a node starts: the home is opened and locked, its settings are read, the
chain is loaded and checked against the genesis, the listeners come up, and only then are peers
dialled, the miner's worker started, the coordinator's campaign taken up. It stops in reverse.

TensorFlow runs in processes of its own: the miner's worker, the coordinator's, the client's.
Nothing here imports it.

* `cli`: the command line; `configuration`: settings, homes, and the files in them;
  `certificates`: an authority for TLS, and how long certificates are valid.
* `node`: one node; `mining`: the miner in it; `retention`: what a node deletes;
  `signing`: a validator's key in a process of its own.
* `coordinator`, `client`: the two sides of federated learning; `wallet`: signs and submits.
* `devnet`: a whole network on one machine; `offline`: Shapley values without a chain.
* `diagnosis`: what would keep a node from its work.
* `explorer`: pages that show a chain; `rendering`: what they and a devnet's report look like.
* `verification`: checks of a chain, and of a payment, without trusting a node.
"""
