"""Training: data sets, a client's share of the data, and stochastic gradient descent."""
