"""Measures: how a model's outputs on the evaluation set become the utility, one integer.

Each measure does it in two steps. `Measure.summarise` turns the outputs for some examples into
integers that add up over examples, so that workers can share the evaluation set; `Measure.finish`
turns the sums over the whole set into the utility.

* `measure`: the `Measure` protocol and its arrays.
* `terms`: names of the measures, and the largest integer of each.
* `right_answers`: the accuracy.
* `class_rates`: balanced accuracy and macro F1.
* `ranking`: the area under the ROC curve.
* `losses`: log-loss and perplexity.
* `regression`: mean squared error and R squared.
* `tokens`: next-token accuracy.
* `class_scores`: log-probabilities and log-odds, for `ranking` and `losses`.
* `target_kind`: what an example's target is for each measure.
* `target_checks`: whether an evaluation set fits a model and a measure.
* `tolerances`: how far honest machines may differ; `near_ties`: answers that rounding decides.
* `choice`: the measure of each `Utility` of task.proto, for an evaluation set.
"""
