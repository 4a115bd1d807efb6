"""Models in ONNX: graphs of operators that PyTorch, JAX and scikit-learn networks are exported to.

Decides which ONNX graphs of strangers are accepted, how much work they are, and which of them NumPy
computes. It does not run them: `evaluation` does. Where a function needs the package `onnx`, it
imports it when it is called, so that a program without such models does not wait for the import.

* `operators`: the operators that a graph may use.
* `graph_checks`: a ModelSpec's graph from an untrusted sender.
* `node_attributes`, `node_inference`: what one node says and makes.
* `live_values`: numbers that are in memory at a time.
* `value_shapes`: the shape of every value, and the batch size.
* `node_work`: multiply-adds of a graph.
* `frozen_part`: the part of a graph that is the same for all coalitions.
* `layer_graph`, `graph_values`: graphs of layers that NumPy computes.
"""
