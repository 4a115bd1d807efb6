"""Keras architectures as people have them.

Decides what is changed on reading, and what outputs are. It does not evaluate coalitions.

* `keras_json`: the form of an architecture that the chain takes.
* `keras_import`: models from architectures and from built-in names.
* `output_kind`: whether outputs are probabilities or logits, found out by evaluating.
"""
