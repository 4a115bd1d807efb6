"""What a node signs and keeps while it takes part in voting."""
