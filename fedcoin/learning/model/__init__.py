"""Models: their architecture, their weights, and whether both are valid.

Decides which architectures and weights are accepted, which models NumPy can compute, and how
weights are averaged. It knows neither data sets nor coalitions. Only `keras_models` and
`keras_runtime` import TensorFlow, when their functions are called.

* `spec`: the ModelSpec message and the Keras classes that it may name.
* `layers`, `layer_reader`, `architecture`: models as graphs of layers that NumPy can compute.
* `onnx_models`: ONNX graphs from other machines; `onnx_files`: exporters' files from and to them.
* `keras_models`, `keras_runtime`: Keras models from and to a ModelSpec; `keras_classes`: the
  classes that they may name. `keras_format`: architectures as people have them, and named ones.
* `aggregation`: federated averaging; `look_alikes`: groups of similar updates.
* `frozen_weights`: models of which only some weights are trained.
* `work`: multiply-adds of a model; `artifact_sizes`: the largest sizes of its files.
* `token_ids`: how many ids a model knows whose inputs are looked up in a table.
* `weight_files`: a model's weights from a file of any format.
* `artifact_checks`: weights, aggregates and evaluation sets from other machines.
"""
