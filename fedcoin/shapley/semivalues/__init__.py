"""Leave-one-out, Banzhaf and Beta-Shapley values from the evaluations of an estimate.

The folder decides how to weight what was evaluated. It evaluates coalitions for leave-one-out only,
and does not know which method chose the others.

* `semivalue_estimates`: the three values and their standard errors.
* `size_sample`: an additive game fitted by size, and by how much the game differs from it.
"""
