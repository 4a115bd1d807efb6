"""Keras architectures as people have them, and those that have a name here.

Decides what is changed on reading, what outputs are, and which weights a named model begins with.
It does not evaluate coalitions.

* `keras_json`: the form of an architecture that the chain takes.
* `keras_import`: models from architectures and from built-in names.
* `named_models`: the latter, without TensorFlow; `keras_draws`: random weights as Keras draws them.
* `output_kind`: whether outputs are probabilities or logits, found out by evaluating.
"""
