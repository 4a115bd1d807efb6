"""Models: read a ModelSpec or Keras JSON, average weights, and check a task's artifacts."""
