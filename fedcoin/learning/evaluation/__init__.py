"""Evaluation: what the averaged model of each coalition is worth by a measure.

Decides how the outputs are computed, exactly up to the order of float32 sums, and as fast as the
model's architecture allows. It does not choose the coalitions, and knows nothing of processes or of
what the counts are for.

* `job`: what an evaluation is about, and the `Evaluator` protocol.
* `coefficients`: what each client's weights count in a coalition's average.
* `example_batches`: batches of examples, and the statistics of a model's outputs.
* `summing_evaluator`: the base of all evaluators, from statistics to utilities.
* `dense_evaluator`, with `coalition_sums`: sequences of dense layers, in NumPy.
* `graph_evaluator`, with `operations` and `convolution`: graphs of layers, in NumPy.
* `stacked_weights`: layers with the weights of many models, for both of these.
* `keras_evaluator`, with `devices`: any other Keras model, by TensorFlow, or all of them on a GPU.
* `onnx_evaluator`: any other ONNX graph, by onnxruntime.
* `lone_updates`: what one update does beside clients that change nothing.
* `rounded_weights`: weights with other last digits, which show what depends on rounding.
* `float_mode`: what a worker's processor takes for zero.
"""
