"""Kriging: estimate Shapley values by a Gaussian process over coalitions.

The folder decides which coalitions to evaluate for this method, what to assume about a game before
it is seen, and how to join both into values and standard errors. It knows the game only by the
utilities of the coalitions that it asks for.

In the order of the computation:

* `sampling_design`: which pairs of a coalition and its complement to evaluate; `spread_order`: in
  which order, so that they are far apart from each other.
* `prior`: the model of a game and its hyperparameters; `johnson_polynomials`: the correlations
  between coalitions that do not tell the players apart; `covariances`: the covariance matrix of
  the evaluated coalitions and its derivatives.
* `player_distances`: the part of the model that tells the players apart.
* `reml`: fits the hyperparameters to the sample.
* `posterior`: the expected Shapley values given the sample, and their variances.
* `mixture`: the weighted mean of two models, one of which tells the players apart.
* `correction`: an unbiased estimate of the model's error by cross-fitting.
* `combination`: how much of that error to add, and the variance of the result.
* `large_samples`: samples of more than 1,600 coalitions, a part of which is fitted.
* `estimator`: puts all of them together.

Notation of this folder, in addition to that of the package (N, n, S, s, u, phi):

    m             number of evaluated coalitions S_1, ..., S_m
    y             their utilities, standardised, (m,)
    k             number of different sizes among them
    x(S, T)       overlap |S and T|, the number of players in both
    mu(s)         mean utility of the coalitions of size s; unknown and unrestricted
    J_d(s, t, x)  correlation of degree d between coalitions of sizes s, t with overlap x
    theta         hyperparameters of the prior, p numbers

The model is u(S) = mu(s) + (additive game) + (one part for each degree d)
+ (in the second model, a part that tells the players apart) + (noise of S alone).
"""
