"""Training: data sets, and what one client computes in a round.

Decides how a data set is read, divided among clients and cut into evaluation shards, and how a
client trains from the base weights. It does not know who coordinates the round or what happens to
the result.

* `datasets`: the digits that ship with the package, MNIST, and files of one's own.
* `input_range`: the range of their inputs, and what these were divided by.
* `partition_spec`, `partitions`: how simulated clients divide one data set, and the division.
* `training_plan`, `sgd`: how clients train, and stochastic gradient descent, by Keras or, for
  dense layers, by NumPy (`dense_sgd`), also with differential privacy (`private_sgd`);
  `loss_gradients`: what they minimise.
* `client_data`: one client's data and its update, for a worker process; `data_fit`: whether the
  data fit a campaign's model.
"""
