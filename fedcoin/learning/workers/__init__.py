"""Workers: child processes that hold evaluators, and the executors that start them."""
