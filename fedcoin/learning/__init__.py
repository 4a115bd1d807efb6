"""Machine learning: what a model is, how clients train it, and what coalitions' models are worth.

This layer decides which models, weights and data sets are valid, trains, averages, and measures
averaged models. It does not know what a Shapley value is, how anything travels
between machines, or what anybody is paid: coalitions come in as rows of booleans, and utilities go
out as integers. Files and bytes come from its callers.

* `files`: the files in which people have weights and data.
* `model`: models and their weights, federated averaging, and checks of what others sent.
* `training`: data sets, and one client's training.
* `measures`: how outputs become a utility: the accuracy and others.
* `evaluation`: the utility of each coalition's averaged model.
* `workers`: the processes in which training and evaluation run, on this machine or on others.
* `errors`: why this layer refuses something, and how workers fail.

Importing any module of this package does not import TensorFlow; functions that need it import it
when they are called (`model.keras_runtime`).
"""
