"""Evaluation: count the right answers of each coalition's averaged model."""
