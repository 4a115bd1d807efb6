"""Checks of artifacts that came from other machines.

Decides whether weights, an aggregate and an evaluation set are valid for a model and belong
together. It knows neither where they came from nor what a refusal costs their sender.

* `weight_checks`: names, shapes, dtypes and numbers of weights; aggregates.
* `evaluation_set_checks`: an evaluation set's inputs and targets.
* `shape_checks`: whether a model maps a data set's examples to its targets.
* `job_checks`: all files of a job, and one client's update.
"""
