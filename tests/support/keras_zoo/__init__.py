"""Keras models as users write them: with what they are evaluated, and why some are refused."""
