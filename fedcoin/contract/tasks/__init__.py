"""Shapley tasks: their phases and their settlement."""
