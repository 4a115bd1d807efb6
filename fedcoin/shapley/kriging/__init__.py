"""Kriging: estimate Shapley values by a Gaussian process over coalitions."""
