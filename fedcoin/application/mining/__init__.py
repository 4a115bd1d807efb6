"""Mining: compute the Shapley values of open tasks, commit to them and reveal them."""
