"""Learning: what a model is, how a client trains one, and what a coalition's model is worth.

In the order in which a round needs them:

* ``datasets`` loads images and labels and cuts them into the clients' shares; ``models`` makes a
  Keras model by name and turns an architecture into a ``ModelSpec``; ``spec`` reads such a
  message from a stranger, and refuses what is not a plain network of known layers.
* ``training`` runs a client's local epochs; ``aggregation`` averages the results, for all
  clients (FedAvg) or for any coalition of them.
* ``local`` is what a client does with its data in a round; ``campaign`` is what a coordinator
  keeps in mind: who joined, which round is open, what came in.
* ``checks`` decides whether a task's artifacts are sound: shapes, dtypes, finite numbers, labels,
  the aggregate. Every validator asks it before it votes for a task.
* ``utility`` names the question that miners answer all day: how many evaluation examples does
  the averaged model of each of these coalitions get right? ``architecture`` finds out who can
  answer it, by reading ``layers`` (``layer_reader``): ``dense`` in NumPy for rows of dense layers
  (``mixing`` plans its sums over coalitions), ``graph`` in NumPy for convolutions, batch
  normalisation, skips and joins (its steps are ``operations``, ``conv`` one of them), ``generic``
  through Keras for anything else. ``blocks`` and ``stacks`` are what the first two share.
* ``worker_pool`` asks the question of child processes (``worker_process``, ``worker``, ``jobs``),
  so that neither TensorFlow nor long arithmetic ever runs in the process of a node; ``executors``
  says where those are, ``ray_executor`` on other machines.

Importing this package, or any module of it, does not import TensorFlow: the functions that need
it do so when they are called (``keras_runtime``).

What it does not know: what a sample or a Shapley value is, how anything travels, that there is a
chain. Coalitions come in as rows of booleans and counts go out as integers.
"""
