"""Measures: how a model's outputs on the evaluation set become the utility, one integer.

Each measure does it in two steps. `Measure.summarise` turns the outputs for some examples into
integers that add up over examples, so that workers can share the evaluation set; `Measure.finish`
turns the sums over the whole set into the utility.

* `measure`: the `Measure` protocol and its arrays.
* `right_answers`: the accuracy.
* `choice`: the measure of each `Utility` of task.proto, for an evaluation set.
"""
